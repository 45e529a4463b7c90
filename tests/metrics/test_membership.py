"""Membership scores against the formulas written out, and their AUC over records."""

import math
import zlib
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from ngdiff.errors import InputError
from ngdiff.metrics import auc, auc_interval, membership
from ngdiff.metrics.membership import PERCENTAGES, SCORES, Score, min_k, min_k_plus_plus, values

TOKENS = st.lists(st.floats(0, 50), min_size=1, max_size=80)


def record(loss: float = 1.0, **more: Any) -> dict[str, Any]:
    return {"nll_sum": 4 * loss, "n_tokens": 4, "reference": "a cat", **more}


def complete(loss: float) -> dict[str, Any]:
    """A record with every optional field, as a model that gives this loss would leave it."""
    return record(
        loss,
        token_nll=[loss] * 4,
        token_z=[-loss] * 4,
        lowercase={"nll_sum": 2.0, "n_tokens": 2},
        base_model={"nll_sum": 6.0, "n_tokens": 2},
        grad_norm=loss,
    )


@given(TOKENS, st.sampled_from(PERCENTAGES))
def test_min_k_as_muse_writes_it(nll: list[float], percent: int) -> None:
    log_probs = -np.array(nll)
    length = int(len(nll) * (percent / 100))
    if length == 0:  # MUSE's mean of nothing is NaN; one token is taken here
        length = 1
    expected = -np.mean(np.sort(log_probs)[:length])
    assert min_k({"token_nll": nll}, percent) == pytest.approx(expected, rel=1e-12, abs=1e-12)


@given(TOKENS, st.sampled_from(PERCENTAGES))
def test_min_k_plus_plus_takes_the_smallest(z: list[float], percent: int) -> None:
    signed = [value - 25 for value in z]
    length = max(1, int(len(z) * (percent / 100)))
    expected = -np.mean(sorted(signed)[:length])
    assert min_k_plus_plus({"token_z": signed}, percent) == pytest.approx(expected, rel=1e-12, abs=1e-12)


@given(TOKENS, st.sampled_from(PERCENTAGES), st.integers(1, 3))
def test_min_k_leaves_the_end_out(nll: list[float], percent: int, end: int) -> None:
    """An end that nobody taught the model is its least probable token; the beginning of a raw text counts."""
    one = {"token_nll": nll + [99.0] * end, "token_z": [-v for v in nll] + [-99.0] * end, "n_end": end, "n_given": 1}
    assert min_k(one, percent) == min_k({"token_nll": nll}, percent)
    assert min_k_plus_plus(one, percent) == min_k_plus_plus({"token_z": [-v for v in nll]}, percent)
    for name, field in ((f"min-{percent}%", "token_nll"), (f"min-{percent}%++", "token_z")):
        whole = SCORES[name].function({field: one[field]})
        assert SCORES[f"{name}_with_end"].function(one) == whole >= SCORES[name].function(one)
        assert not SCORES[name].applies({field: [9.0], "n_end": 1})
        assert SCORES[f"{name}_with_end"].applies({field: [9.0], "n_end": 1})


def test_the_compressed_text_is_that_of_the_loss() -> None:
    """A raw text's beginning stands in the prompt."""
    whole = record(reference="the cat sat on the mat")
    parted = record(prompt="the cat ", reference="sat on the mat", n_given=2)
    prompted = record(prompt="What did the cat do?", reference="the cat sat on the mat", n_given=0)
    found = [SCORES["loss/zlib"].function(one) for one in (whole, parted, prompted)]
    assert found[0] == found[1] == found[2]


def test_losses_set_against_others() -> None:
    text = "Zürich, a city of many banks and much cheese"
    one = {**complete(2.0), "reference": text}
    found = {name: score.function(one) for name, score in SCORES.items()}
    assert found["loss"] == 2.0
    assert found["loss/lower"] == 2.0
    assert found["loss/zlib"] == 2.0 / len(zlib.compress(text.encode("utf-8")))
    assert found["loss/reference"] == pytest.approx(2 / 3)
    assert found["loss-reference"] == -1.0
    assert found["grad-norm"] == 2.0


def test_losses_of_zero_make_no_nan() -> None:
    nothing = {"nll_sum": 0.0, "n_tokens": 3}
    same = {**record(0.0), "lowercase": nothing, "base_model": nothing}
    assert SCORES["loss/lower"].function(same) == SCORES["loss/reference"].function(same) == 1.0
    other = {**record(1.0), "lowercase": nothing}
    assert SCORES["loss/lower"].function(other) == math.inf
    assert SCORES["loss/zlib"].function({**record(1.0), "reference": ""}) > 0


@pytest.mark.parametrize("name", SCORES)
def test_every_score_is_lower_for_what_a_model_knows(name: str) -> None:
    known, unknown = SCORES[name].function(complete(0.1)), SCORES[name].function(complete(3.0))
    assert known < unknown


def test_membership_of_known_and_unknown_records() -> None:
    forget = [complete(value) for value in (0.1, 0.2, 0.3, 2.0)]
    holdout = [complete(value) for value in (1.0, 2.0, 3.0)]
    found = membership(forget, holdout, confidence=0.9, seed=3)
    assert found.keys() == SCORES.keys()
    expected = auc([0.1, 0.2, 0.3, 2.0], [1.0, 2.0, 3.0])
    ends = auc_interval([0.1, 0.2, 0.3, 2.0], [1.0, 2.0, 3.0], confidence=0.9, seed=3)
    for result in found.values():
        assert result["auc"] == pytest.approx(expected)
        assert result["interval"] == pytest.approx(ends)  # the order alone counts
        assert (result["n_forget"], result["n_holdout"]) == (4, 3)
    assert "interval" not in membership(forget, holdout)["loss"]
    assert "interval" not in membership(forget[:1], holdout, confidence=0.9)["loss"]


def test_records_without_optional_fields() -> None:
    old = [record(1.0), record(2.0)]
    found = membership([*old, complete(0.1)], old)
    assert found["loss"] == {"n_forget": 3, "n_holdout": 2, "auc": pytest.approx(4 / 6)}
    assert found["min-20%"] == {"n_forget": 1, "n_holdout": 0}  # no AUC: one side has none
    assert found["grad-norm"] == {"n_forget": 1, "n_holdout": 0}


def test_equal_values_cannot_be_told_apart() -> None:
    same = [complete(1.0)] * 5
    assert {result["auc"] for result in membership(same, same).values()} == {0.5}


def test_what_is_no_number_is_named() -> None:
    broken = {**record(), "origin": "row 9", "token_nll": [1.0, math.nan, 2.0]}
    with pytest.raises(InputError, match="row 9: token_nll holds NaN"):
        values(SCORES["min-5%"], [broken])
    with pytest.raises(InputError, match="row 9: token_z is empty"):
        values(SCORES["min-5%++"], [{"origin": "row 9", "token_z": []}])
    with pytest.raises(InputError, match="row 9: the thing is NaN"):
        values(Score(lambda _: math.nan, "the thing", ()), [broken])
