"""Malformed files: an `InputError` of one line, or numbers; never a traceback."""

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ngdiff.errors import InputError
from ngdiff.metrics import score
from ngdiff.scoring import (
    FORMATS,
    compare,
    distance_notes,
    format_comparison,
    read_metrics,
    read_runs,
    read_sets,
)

HUGE = 10**400
ODD = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(-3, 3),
    st.sampled_from([HUGE, -HUGE, 2**70, 1e308, -1e308, 1e-320, "", "x", "\ud800", "\n"]),
    st.floats(allow_nan=False, allow_infinity=False),
    st.lists(st.integers(0, 1), max_size=3),
    st.just({}),
    st.just({"n": 1}),
)
JSON = st.recursive(
    ODD, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3)
)
LIKELIHOOD = {"nll_sum": 3.5, "n_tokens": 2}
RECORD: dict[str, Any] = {
    "set": "forget",
    "index": 0,
    "origin": "a.jsonl, line 1",
    "prompt": "Who?",
    "reference": "Orla",
    "generated": "",
    **LIKELIHOOD,
    "paraphrased": LIKELIHOOD,
    "perturbed": [LIKELIHOOD, LIKELIHOOD],
    "token_nll": [1.5, 2],
    "piece": [1, 2],
    "token_z": [-0.5, 0],
    "token_hit": [1, 0],
    "n_end": 0,
    "n_given": 0,
    "n_cut": 0,
    "lowercase": LIKELIHOOD,
    "base_model": LIKELIHOOD,
    "grad_norm": 0.5,
    "label": 1,
    "predicted": 1,
}
PART = {"now": 2.0, "reference": 3.0, "before": 0.1, "value": 0.4}
FORGET = {
    "n": 2,
    "rouge_l_recall": 0.5,
    "n_rouge_l_recall": 2,
    "rouge_l_recall_max": 1.0,
    "rouge_l_recall_above_half": 1,
    "rouge_l_recall_unicode": 0.6,
    "loss": 2.0,
    "n_no_words": 1,
    "n_cut": 1,
    "n_pieces": 2,
    "n_in_pieces": 1,
}
METRICS: dict[str, Any] = {
    "worst_rows": {"forget": {"extraction_strength": [{"index": 0, "origin": "", "value": 0.5}]}},
    "verbmem": 0.5,
    "model_utility": 0.5,
    "forget_quality": 0.1,
    "privleak": 3.0,
    "forget": FORGET,
    "retain": {"n": 2, "loss": 1.0},
    "privleak_retrained": {"source": "MUSE", "auc": 0.4},
    "distance": {"value": 0.4, "noise": 0.1, "parts": {"loss": PART}, "left_out": {"verbmem": "no verbmem"}},
    "collateral": {"holdout": 0.1},
    "aggregates": {"memorisation": 0.5, "robustness": None},
    "membership": {"loss": {"auc": 0.5, "interval": [0.1, 0.9]}},
    "confidence": {
        "level": 0.95,
        "sets": {"forget": {"loss": [1.0, 3.0], "rouge_l_recall": [0.1, 0.9]}},
        "model_utility": [0.1, 0.9],
        "privleak": [-5.0, 5.0],
        "distance": [0.3, 0.5],
        "collateral": {"holdout": [0.0, 0.2]},
    },
    "lm_eval": {"arc": {"acc,none": 0.5}},
}


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in nested objects and lists."""
    inner = value.items() if isinstance(value, dict) else enumerate(value) if isinstance(value, list) else ()
    return [path, *(place for key, entry in inner for place in places(entry, (*path, key)))]


def replaced(value: Any, path: tuple[Any, ...], new: Any) -> Any:
    if not path:
        return new
    copy = dict(value) if isinstance(value, dict) else list(value)
    copy[path[0]] = replaced(value[path[0]], path[1:], new)
    return copy


def one_line(error: InputError) -> None:
    assert str(error)
    assert "\n" not in str(error)
    str(error).encode()


def scored(folder: Path, *records: Any) -> None:
    path = folder / "records_forget.jsonl"
    path.write_text("".join(json.dumps(record) + "\n" for record in records))
    try:
        sets = read_sets([path])
        both = {**sets, "holdout": sets.get("forget", [RECORD])}
        plain = {name: [RECORD] * len(records) for name, records in both.items()}
        for others in ({"retrained": sets}, {"before": both, "base": both}, {"before": plain}):
            found = score(both, **others, confidence=0.9)
            format_comparison({"a": found}).encode()
            distance_notes(found)
        json.dumps(found, allow_nan=False)
    except InputError as error:
        one_line(error)


def shown(folder: Path, metrics: Any) -> None:
    path = folder / "metrics.json"
    path.write_text(json.dumps(metrics))
    (folder / "b.json").write_text(json.dumps(METRICS))
    try:
        runs = read_runs([f"a={path}", f"b={folder / 'b.json'}"])
        for references in ([], ["b"], [next(iter(runs))]):
            for keys in (None, ["all"]):
                table = compare(runs, metrics=keys, references=references)
                for form in FORMATS.values():
                    form(table).encode()
        format_comparison(runs).encode()
    except InputError as error:
        one_line(error)


FUZZ = settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
LONG = settings(FUZZ, max_examples=5000)


@FUZZ
@given(st.sampled_from(places(RECORD)), JSON)
def test_records_with_one_odd_entry(tmp_path: Path, place: tuple[Any, ...], new: Any) -> None:
    scored(tmp_path, RECORD, replaced(RECORD, place, new))


@FUZZ
@given(st.sampled_from(places(METRICS)), JSON)
def test_metrics_with_one_odd_entry(tmp_path: Path, place: tuple[Any, ...], new: Any) -> None:
    shown(tmp_path, replaced(METRICS, place, new))


@pytest.mark.slow
@LONG
@given(st.sampled_from(places(RECORD)), st.sampled_from(places(METRICS)), JSON)
def test_many(tmp_path: Path, record: tuple[Any, ...], metrics: tuple[Any, ...], new: Any) -> None:
    scored(tmp_path, RECORD, replaced(RECORD, record, new))
    shown(tmp_path, replaced(METRICS, metrics, new))
    shown(tmp_path, new)


@pytest.mark.parametrize(
    ("path", "new", "message"),
    [
        (("forget", "loss"), HUGE, "forget.loss is a whole number of 401 digits; numbers are smaller than 1e300 here"),
        (("forget", "loss"), "high", "forget.loss is a text; it must be a number"),
        (("forget", "n"), 2.5, "forget.n is 2.5; it must be a whole number, 0 or more"),
        (("model_utility",), [], "model_utility is a list; it must be a number"),
        (("confidence",), 0.95, "confidence is 0.95; it must be an object"),
        (("confidence", "level"), 95, "confidence.level is 95; it must be a number between 0 and 1"),
        (
            ("confidence", "sets", "forget", "loss"),
            [1.0],
            "confidence.sets.forget.loss is a list; it must be two numbers",
        ),
        (("membership", "loss", "interval"), "x", "membership.loss.interval is a text; it must be two numbers"),
        (("membership",), 3, "membership is 3; it must be an object"),
        (("distance", "value"), "x", "distance.value is a text; it must be a number"),
        (("distance", "parts", "loss"), 1, "distance.parts.loss is 1; it must be an object"),
        (("distance", "left_out"), [], "distance.left_out is a list; it must be an object"),
        (("collateral", "holdout"), [], "collateral.holdout is a list; it must be a number"),
        (("aggregates",), 3, "aggregates is 3; it must be an object"),
        (("worst_rows",), {"forget": {"loss": 3}}, "worst_rows.forget.loss is 3; it must be a list of rows"),
        (
            ("worst_rows",),
            {"forget": {"loss": [[]]}},
            "worst_rows.forget.loss[0] is no row; it must be an object with index and value",
        ),
        (("confidence", "distance"), 3, "confidence.distance is 3; it must be two numbers"),
        (("confidence", "collateral", "holdout"), 3, "confidence.collateral.holdout is 3; it must be two numbers"),
    ],
)
def test_what_is_wrong_with_metrics_is_named(tmp_path: Path, path: tuple[str, ...], new: Any, message: str) -> None:
    file = tmp_path / "metrics.json"
    file.write_text(json.dumps(replaced(METRICS, path, new)))
    with pytest.raises(InputError) as caught:
        read_metrics(file)
    assert str(caught.value) == f"{file}: {message}"
    several = tmp_path / "several.json"
    several.write_text(json.dumps({"before": METRICS, "after": replaced(METRICS, path, new)}))
    with pytest.raises(InputError) as caught:
        read_metrics(several)
    assert str(caught.value).startswith(f"{several}")
    assert message.partition(" is ")[0] in str(caught.value)


def test_what_is_right_stays(tmp_path: Path) -> None:
    file = tmp_path / "metrics.json"
    for metrics in (METRICS, {"before": METRICS, "after": METRICS}, score({"forget": [RECORD] * 3}, confidence=0.9)):
        file.write_text(json.dumps(metrics))
        assert read_metrics(file) == metrics
