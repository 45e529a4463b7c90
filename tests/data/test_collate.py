"""Batches: padding on the right, mask from lengths."""

import pickle
from typing import Any

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ngdiff.data import AnswerCollator

IDS = st.lists(st.integers(0, 5), min_size=1, max_size=7)


@given(st.lists(IDS, min_size=1, max_size=5), st.integers(0, 5))
def test_padding_is_never_attended_and_never_learned(rows: list[list[int]], pad: int) -> None:
    """Also with rows that hold the pad id themselves."""
    batch = AnswerCollator(pad)([{"input_ids": ids, "labels": [-100, *ids[1:]]} for ids in rows])
    longest = max(map(len, rows))
    assert set(batch) == {"input_ids", "attention_mask", "labels"}
    for name, values in batch.items():
        assert values.dtype == torch.int64
        assert values.shape == (len(rows), longest), name
    for i, ids in enumerate(rows):
        rest = longest - len(ids)
        assert batch["input_ids"][i].tolist() == ids + [pad] * rest
        assert batch["attention_mask"][i].tolist() == [1] * len(ids) + [0] * rest
        assert batch["labels"][i].tolist() == [-100, *ids[1:]] + [-100] * rest


def test_row_ids_and_other_keys() -> None:
    rows: list[dict[str, Any]] = [{"input_ids": [i], "labels": [i], "row_id": 7 - i, "text": "t"} for i in range(3)]
    batch = AnswerCollator(0)(rows)
    assert batch["row_id"].tolist() == [7, 6, 5]
    assert batch["row_id"].dtype == torch.int64
    assert "text" not in batch
    del rows[1]["row_id"]
    assert "row_id" not in AnswerCollator(0)(rows)


def test_tensors_are_accepted_too() -> None:
    batch = AnswerCollator(0)([{"input_ids": torch.tensor([1, 2]), "labels": torch.tensor([-100, 2])}])
    assert batch["labels"].tolist() == [[-100, 2]]


def test_one_label_per_token() -> None:
    with pytest.raises(AssertionError, match="one label per token"):
        AnswerCollator(0)([{"input_ids": [1, 2], "labels": [1]}])


def test_travels_to_worker_processes() -> None:
    collate = pickle.loads(pickle.dumps(AnswerCollator(3)))  # noqa: S301 (our own object)
    assert collate.pad_token_id == 3
