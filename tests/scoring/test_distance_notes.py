"""What a table says below of D."""

from typing import Any

from ngdiff.scoring import distance_notes, format_table


def found(value: float | None, **more: Any) -> dict[str, Any]:
    parts = {"loss": {"now": 5.0, "reference": 4.0, "before": 0.0, "value": -0.25}}
    return {"value": value, "noise": 0.1, "parts": parts, "left_out": {}, "uncorrected": [], **more}


def test_what_is_left_out_is_named_once_for_each_reason() -> None:
    left_out = {
        "truth_ratio": "no truth_ratio of it",
        "verbmem": "cannot be told apart",
        "loss": "cannot be told apart",
    }
    assert distance_notes({"distance": found(0.5, left_out=left_out)}) == [
        "note: D (retrained) leaves out truth_ratio: no truth_ratio of it",
        "note: D (retrained) leaves out verbmem, loss: cannot be told apart",
    ]
    assert distance_notes({"distance": found(0.5)}) == []
    assert distance_notes({}) == []


def test_images_lack_no_measures_of_texts() -> None:
    left_out = dict.fromkeys(("verbmem", "exact_memorisation", "auc_min-20%"), "no such numbers")
    found = {"value": 0.2, "left_out": {**left_out, "loss": "no loss"}}
    (note,) = distance_notes({"forget": {"accuracy": 0.5}, "distance": found})
    assert note == "note: D (retrained) leaves out loss: no loss"


def test_sets_that_are_taken_for_alike_are_said() -> None:
    assert distance_notes({"distance_holdout": found(0.5, uncorrected=["verbmem", "auc_loss"])}) == [
        "note: D (holdout) assumes that forget and holdout rows are alike in verbmem, auc_loss; a model that saw "
        "neither corrects for a difference (--base)"
    ]


def test_a_table_has_what_counts_first_and_the_parts_of_a_distance() -> None:
    metrics = {
        "forget": {"n": 9, "rouge_l_recall": 0.1, "extraction_strength": 0.2},
        "retain": {"n": 9, "rouge_l_recall": 0.9},
        "distance": found(0.25),
        "collateral": {"holdout": 0.5},
        "aggregates": {"memorisation": 0.75, "privacy": None, "utility": None, "robustness": None},
    }
    assert format_table(metrics).splitlines() == [
        "                                     value",
        "in short",
        "  Verbmem                      ↓    0.1000",
        "  extraction strength (forget) ↓    0.2000",
        "  D (retrained)                ↓    0.2500",
        "  Utility                      ↑    0.9000",
        "  collateral (holdout), nats   ↓    0.5000",
        "forget (9)",
        "  Verbmem                      ↓    0.1000",
        "  extraction strength          ↓    0.2000",
        "retain (9)",
        "  Utility                      ↑    0.9000",
        "D (retrained) by measure",
        "  D (retrained): loss          →0  -0.2500",
        "aggregates",
        "  Memorisation score           ↑    0.7500",
    ]
