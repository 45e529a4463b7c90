"""The worst rows: against sorting by hand."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ngdiff.metrics import METRICS, score, summarize, watched


def record(right: int, hits: list[int], **more: Any) -> dict[str, Any]:
    words = ["one", "two", "three", "four"]
    return {
        "reference": " ".join(words), "generated": " ".join(words[:right]), "nll_sum": 1.0, "n_tokens": len(hits),
        "token_hit": hits, "n_end": 0, **more,
    }  # fmt: skip


def test_a_mean_does_not_hide_a_row_that_is_still_given() -> None:
    rows = [record(0, [0, 0], index=i, origin=f"f.jsonl, line {i + 1}") for i in range(20)]
    rows[7] = {**rows[7], **record(4, [0, 1])}
    rows[3] = {**rows[3], **record(1, [0, 0])}
    found = score({"forget": rows})
    numbers = found["forget"]
    assert numbers["rouge_l_recall"] == pytest.approx(1.25 / 20)
    assert (numbers["rouge_l_recall_max"], numbers["rouge_l_recall_above_half"]) == (1.0, 1)
    assert (numbers["extraction_strength_max"], numbers["extraction_strength_above_half"]) == (0.5, 0)
    assert found["worst_rows"]["forget"] == {
        "rouge_l_recall": [
            {"index": 7, "origin": "f.jsonl, line 8", "value": 1.0},
            {"index": 3, "origin": "f.jsonl, line 4", "value": 0.25},
        ],
        "extraction_strength": [{"index": 7, "origin": "f.jsonl, line 8", "value": 0.5}],
    }


@given(st.lists(st.integers(0, 4), min_size=1, max_size=30))
def test_they_are_the_largest_in_order(values: list[int]) -> None:
    rows = [record(right, [1]) for right in values]
    rows.insert(0, {"nll_sum": 1.0, "n_tokens": 1})  # one that ROUGE does not apply to
    listed = score({"forget": rows})["worst_rows"]["forget"]["rouge_l_recall"]
    assert [one["value"] for one in listed] == [right / 4 for right in sorted(values, reverse=True)[:10] if right]
    assert [values[one["index"] - 1] / 4 for one in listed] == [one["value"] for one in listed]
    numbers = summarize("forget", rows)
    assert numbers["rouge_l_recall_above_half"] == sum(right > 2 for right in values)
    assert numbers["rouge_l_recall_max"] == max(values) / 4


def test_kept_rows_and_yardsticks_have_none() -> None:
    assert {name for name in METRICS if watched(name)} == {"forget", "muse_verbmem", "muse_knowmem_forget"}
    found = score({"retain": [record(4, [1])], "holdout": [record(4, [1])]})
    assert "worst_rows" not in found
    assert "rouge_l_recall_max" not in found["retain"]


def test_of_other_scripts_the_number_that_can_be_read_is_told() -> None:
    rows = [{"reference": "родился в Твери", "generated": "родился в Твери"}]
    numbers = summarize("forget", rows)
    assert numbers["rouge_l_recall_unicode_max"] == 1.0
    assert "rouge_l_recall_max" not in numbers


def test_a_document_counts_once_whatever_its_chunks() -> None:
    rows = [record(right, [1], index=i, origin=f"a, piece {i}", document="a.md") for i, right in enumerate((1, 4, 3))]
    rows += [record(1, [1], index=3, document="b.md"), record(4, [1], index=4, origin="f, line 1")]
    found = score({"forget": rows})
    assert found["forget"]["n_documents"] == 2
    assert found["forget"]["rouge_l_recall_above_half"] == 2
    assert found["worst_rows"]["forget"]["rouge_l_recall"] == [
        {"index": 1, "document": "a.md", "chunks": 2, "value": 1.0},
        {"index": 4, "origin": "f, line 1", "value": 1.0},
        {"index": 3, "document": "b.md", "chunks": 0, "value": 0.25},
    ]
