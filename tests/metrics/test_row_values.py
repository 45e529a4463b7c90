"""Arrays from records: the numbers of the tables, row by row."""

import math
from typing import Any

import numpy as np
import pytest

from ngdiff.metrics import summarize
from ngdiff.metrics.row_values import base_row_values, row_values


def record(index: int, **more: Any) -> dict[str, Any]:
    return {
        "index": index,
        "reference": "the cat sat on a mat",
        "generated": "the cat sat" if index else "a dog",
        "nll_sum": 3.0 + index,
        "n_tokens": 4,
        "n_end": 1,
        "token_nll": [0.5, 0.5, 1.0 + index, 1.0],
        "token_hit": [1, index % 2, 1, 1],
        "perturbed": [{"nll_sum": 4.0, "n_tokens": 4}],
        **more,
    }


def test_means_are_those_of_the_table() -> None:
    records = [record(i) for i in range(3)]
    found, table = row_values({"forget": records}), summarize("forget", records)
    for name in ("probability", "extraction_strength", "exact_memorisation", "truth_ratio"):
        assert np.mean(found.forget[name]) == pytest.approx(table[name])
    assert np.mean(found.forget["verbmem"]) == pytest.approx(table["rouge_l_recall"])
    assert np.average(found.forget["loss"], weights=found.forget["n_tokens"]) == pytest.approx(table["loss"])
    assert found.forget["min-20%"] == [1.0, 2.0, 3.0]  # without the end token
    assert found.holdout == {}


def test_holdout_rows_go_by_the_rules_of_the_forget_set() -> None:
    """A truth ratio of `min(R, 1/R)`, not the `max(0, 1 - R)` of a set that is kept."""
    found = row_values({"holdout": [record(0)]})
    assert found.holdout["truth_ratio"] == [pytest.approx(math.exp(-0.25))]


def test_what_a_row_lacks_is_nan_and_what_all_lack_is_not_there() -> None:
    found = row_values({"forget": [record(0, generated=None, perturbed=None), record(1, perturbed=None)]}).forget
    assert np.isnan(found["verbmem"]).tolist() == [True, False]
    assert "truth_ratio" not in found


def test_texts_of_other_scripts_are_compared_by_words_of_unicode() -> None:
    found = row_values({"forget": [record(0, reference="Кошка сидела", generated="кошка спит")]}).forget
    assert found["verbmem"] == [0.5]


def test_the_base_model_of_records() -> None:
    found = base_row_values({"forget": [record(0, base_model={"nll_sum": 2.0, "n_tokens": 4}), record(1)]}).forget
    assert sorted(found) == ["loss", "n_tokens", "probability"]
    assert found["loss"] == pytest.approx([0.5, math.nan], nan_ok=True)
    assert found["probability"][0] == pytest.approx(math.exp(-0.5))  # type: ignore[index]
    assert base_row_values({"forget": [record(0)]}).forget == {}
