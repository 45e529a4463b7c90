"""Requirements: their form, their bounds, their judgement."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ngdiff.errors import InputError, VerdictError
from ngdiff.evidence.requirements import (
    OPERATORS,
    is_known,
    judge,
    numbers_of_metrics,
    parse_requirements,
)
from ngdiff.evidence.verdicts import refuse_unmet, verdict_table
from ngdiff.exit_codes import REQUIREMENT_NOT_MET

METRICS = {
    "forget": {"n": 2, "loss": 3.0, "rouge_l_recall": 0.5, "extraction_strength": 0.05},
    "retain": {"n": 2, "loss": 0.2, "rouge_l_recall": 0.0, "rouge_l_recall_unicode": 0.9},
    "distance": {"value": 0.3, "parts": {"loss": {"value": -0.1}}},
    "collateral": {"protect": 0.01},
    "membership": {"min-20%++": {"auc": 0.6}},
}


@given(
    st.sampled_from(list(OPERATORS)),
    st.floats(0, 1e6),
    st.floats(0, 1e6) | st.none(),
    st.floats(-1e6, 1e6),
    st.floats(0, 1e6),
)
def test_a_requirement_is_what_python_would_say(
    sign: str, value: float, factor: float | None, offset: float, before: float
) -> None:
    bound = f"{offset!r}" if factor is None else f"{factor!r} * before {offset:+}"
    (one,) = parse_requirements(f"forget.loss {sign} {bound}")
    (verdict,) = judge([one], {"forget.loss": value}, {"forget.loss": before}, must_be_measured=True)
    expected = offset if factor is None else factor * before + offset
    assert verdict.bound == expected
    assert verdict.met is OPERATORS[sign](value, expected)


@pytest.mark.parametrize(
    ("text", "factor", "offset"),
    [("1e-3", None, 1e-3), (".5", None, 0.5), ("-1", None, -1.0), ("before", 1.0, 0.0), ("2.*before-.1", 2.0, -0.1)],
)
def test_bounds(text: str, factor: float | None, offset: float) -> None:
    (one,) = parse_requirements(f"utility>={text}")
    assert (one.factor, one.offset) == (factor, offset)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "an empty part is not of the form QUANTITY<=BOUND"),
        ("utility>=0.9,", "an empty part"),
        ("utility", "utility is not of the form"),
        ("utility=0.9", "is not of the form"),
        ("0.9<=utility<=1", "is not of the form"),
        ("utility>=__import__('os')", "__import__('os') is no bound"),
        ("utility>=nan", "nan is no bound"),
        ("utility>=1e999", "1e999 is no finite number"),
        ("utility>=before*0.9", "before*0.9 is no bound"),
        ("forget.los<=1", "forget.los is not known; did you mean forget.loss? There are verbmem, utility,"),
        ("nothing<=1", "and SET.NUMBER with SET forget, retain, holdout,"),
        ("utility>=0.9,utility>0.8", "utility has two bounds with >"),
    ],
)
def test_what_cannot_be_read_is_refused(text: str, message: str) -> None:
    with pytest.raises(InputError, match=re.escape(message)):
        parse_requirements(text)


def test_every_number_of_an_evaluation_has_a_known_name() -> None:
    found = numbers_of_metrics({**METRICS, "lm_eval": {"piqa": {"acc,none": 0.5}}})
    assert [name for name in found if not is_known(name)] == []
    assert found["distance"] == 0.3
    assert found["distance.loss"] == -0.1
    assert found["verbmem"] == 0.5
    assert found["utility"] == 0.9  # by words of Unicode: the other does not read these texts
    assert found["membership.min-20%++"] == 0.6
    assert found["lm_eval.piqa.acc"] == 0.5


def test_what_was_not_measured_is_not_met_where_it_must_be() -> None:
    both = parse_requirements("distance_holdout<=0.2, forget.loss>=1")
    values = numbers_of_metrics(METRICS)
    assert [one.met for one in judge(both, values, must_be_measured=True)] == [False, True]
    open_ones = judge(both, values, must_be_measured=False)
    assert [one.met for one in open_ones] == [None, True]
    assert "open: ngdiff evaluate" in verdict_table(open_ones)
    refuse_unmet(open_ones, "out")
    with pytest.raises(VerdictError, match=r"first distance_holdout<=0\.2: it was not measured") as caught:
        refuse_unmet(judge(both, values, must_be_measured=True), "out")
    assert caught.value.status == REQUIREMENT_NOT_MET


def test_a_bound_without_its_value_before_is_not_met() -> None:
    one = parse_requirements("forget.loss>=before")
    with pytest.raises(VerdictError, match="give --before RUN"):
        refuse_unmet(judge(one, {"forget.loss": 3.0}, must_be_measured=True), "out")


def test_a_value_that_is_no_number_is_not_met() -> None:
    (verdict,) = judge(parse_requirements("forget.loss>=1"), {"forget.loss": float("nan")}, must_be_measured=False)
    assert verdict.met is False
    assert verdict.as_json()["value"] is None
