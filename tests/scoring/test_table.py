from typing import Any

import pytest

from ngdiff.errors import InputError
from ngdiff.metrics import METRICS, UNICODE
from ngdiff.scoring import format_comparison, format_table
from ngdiff.scoring.quantities import LEFT_OUT

FORGET: dict[str, Any] = {
    "n": 20, "rouge_l_recall": 0.98, "n_rouge_l_recall": 20, "probability": 0.9, "loss": 0.05,
    "truth_ratio": 0.5, "n_truth_ratio": 12, "truth_ratio_arithmetic": 0.4, "n_truth_ratio_arithmetic": 12,
}  # fmt: skip
RETAIN: dict[str, Any] = {"n": 180, "rouge_l_recall": 0.97, "loss": 0.06}


def test_one_evaluation() -> None:
    assert format_table({"verbmem": 0.98, "forget": FORGET, "retain": RETAIN}).splitlines() == [
        "                            value",
        "in short",
        "  Verbmem               ↓  0.9800",
        "  Utility               ↑  0.9700",
        "forget (20)",
        "  Verbmem               ↓  0.9800",
        "  probability           ↓  0.9000",
        "  loss                  ↑  0.0500",
        "  truth ratio (12 rows) ↑  0.5000",
        "retain (180)",
        "  Utility               ↑  0.9700",
        "  loss                  ↓  0.0600",
    ]


def test_several_with_gaps_and_unequal_counts() -> None:
    after = {"forget": {**FORGET, "n": 19, "loss": 1234.5, "n_truth_ratio": 19}, "model_utility": 0.5}
    text = format_comparison({"before": {"forget": FORGET, "retain": RETAIN}, "after unlearning": after})
    assert text.splitlines() == [
        "                           before  after unlearning",
        "in short",
        "  Verbmem               ↓  0.9800            0.9800",
        "  Utility               ↑  0.9700                 -",
        "forget (20, 19)",
        "  Verbmem               ↓  0.9800            0.9800",
        "  probability           ↓  0.9000            0.9000",
        "  loss                  ↑  0.0500         1234.5000",
        "  truth ratio (12 rows) ↑  0.5000            0.5000",
        "retain (180, -)",
        "  Utility               ↑  0.9700                 -",
        "  loss                  ↓  0.0600                 -",
        "all",
        "  model utility         ↑       -            0.5000",
    ]


def test_answers_that_rouge_cannot_read_are_said_once() -> None:
    odd = {"forget": {**FORGET, "n_no_words": 7}}
    lines = format_comparison({"before": odd, "after": odd}).splitlines()
    notes = [line for line in lines if line.startswith("note:")]
    assert notes == [
        "note: 7 of 20 forget answers contain no word that ROUGE recognises (a-z, 0-9); they count as 0 "
        "whatever the model answers"
    ]


def test_every_metric_of_every_set_has_a_line() -> None:
    for name, table in METRICS.items():
        for unicode in (False, True):
            keys = [key for key, metric in table.items() if unicode or metric.wanted is None]
            text = format_table({name: {"n": 1, **dict.fromkeys(keys, 0.5)}})
            for key in keys:
                expected = key not in LEFT_OUT and key + UNICODE not in keys
                assert (f"  {table[key].title} " in text) == expected


def test_the_measure_of_other_scripts_is_said() -> None:
    numbers = {"n": 20, "rouge_l_recall": 0.0, "rouge_l_recall_unicode": 0.875, "n_no_words": 1}
    assert format_table({"forget": numbers}).splitlines() == [
        "                       value",
        "forget (20)",
        "  Verbmem, Unicode ↓  0.8750",
        "note: 1 of 20 forget answers contain no word; they count as 0 whatever the model answers",
        "note: forget answers are in scripts that rouge-score does not support (it would give 0.0000): Verbmem, "
        "Unicode compares Unicode words",
    ]


def test_the_worst_rows_are_told() -> None:
    numbers = {"n": 20, "rouge_l_recall": 0.08, "rouge_l_recall_max": 0.95, "rouge_l_recall_above_half": 1}
    assert format_table({"forget": numbers}).splitlines() == [
        "                          value",
        "forget (20)",
        "  Verbmem             ↓  0.0800",
        "  Verbmem, worst row  ↓  0.9500",
        "  Verbmem, rows > 0.5 ↓       1",
    ]


def test_no_columns() -> None:
    with pytest.raises(InputError, match="a table needs at least one evaluation, found none"):
        format_comparison({})
    assert format_table({}).strip() == "value"


def test_intervals_stand_beside_the_numbers_they_are_of() -> None:
    scored = {
        "model_utility": 0.5,
        "forget": {"n": 3, "rouge_l_recall": 0.25, "loss": 2.0},
        "confidence": {
            "level": 0.9,
            "sets": {"forget": {"rouge_l_recall": [0.125, 0.5]}},
            "model_utility": [0.25, 0.75],
        },
    }
    plain = {"forget": {"n": 3, "rouge_l_recall": 0.5}}
    assert format_comparison({"value": scored, "retrained": plain}).splitlines() == [
        "                    value     90 % interval  retrained",
        "forget (3)",
        "  Verbmem       ↓  0.2500  [0.1250, 0.5000]     0.5000",
        "  loss          ↑  2.0000                 -          -",
        "all",
        "  model utility ↑  0.5000  [0.2500, 0.7500]          -",
    ]


def test_numbers_across_sets_and_what_they_should_be_near() -> None:
    metrics = {
        "forget_quality": 2.2e-16,
        "privleak": -99.8114,
        "privleak_retrained": {"source": "records", "auc": 0.5},
        "forget": {"n": 4, "loss": 1.0},
        "holdout": {"n": 4, "loss": 2.0},
        "membership": {
            "loss": {"n_forget": 4, "n_holdout": 4, "auc": 0.75},
            "min-20%": {"n_forget": 4, "n_holdout": 0},
            "min-50%": {"n_forget": 4, "n_holdout": 4, "auc": 0.7},
        },
    }
    assert format_table(metrics).splitlines() == [
        "                          value",
        "forget (4)",
        "  loss           ↑       1.0000",
        "holdout (4)",
        "  loss                   2.0000",
        "all",
        "  forget quality ↑      2.2e-16",
        "  PrivLeak %     →0    -99.8114",
        "forget or holdout?",
        "  AUC loss       →0.5    0.7500",
    ]


def test_a_published_reference_is_said() -> None:
    metrics = {"privleak": 5.0, "privleak_retrained": {"source": "MUSE news, published", "auc": 0.4772}}
    *_, row, note = format_comparison({"a": metrics, "b": metrics}).splitlines()
    assert row == "  PrivLeak % →0  5.0000  5.0000"
    assert note == (
        "note: PrivLeak is relative to the model that MUSE retrained (MUSE news, published); "
        "other models need --retrained"
    )


def test_an_entry_that_is_no_number() -> None:
    with pytest.raises(InputError, match=r"forget\.loss is not a number but bool"):
        format_table({"forget": {"n": 1, "loss": True}})
