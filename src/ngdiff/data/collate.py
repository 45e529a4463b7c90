"""Batches from encoded rows."""

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import torch


class AnswerCollator:
    """Pad encoded rows on the right to the longest of the batch.

    The attention mask is derived from the lengths, not from the pad id: many models pad with their end token, and the
    end token of an answer must be attended to and learned.

    Args:
        pad_token_id: The id to fill `input_ids` with; any id will do, as the mask hides it.

    Returns:
        (from a call) `input_ids`, `attention_mask` and `labels`, int64 of shape (rows, longest); labels are
        -100 where padded. If every row carries a `row_id`, those too, of shape (rows,). Other keys are left
        out.

    >>> rows = [{"input_ids": [5, 6], "labels": [-100, 6]}, {"input_ids": [7], "labels": [7]}]
    >>> batch = AnswerCollator(0)(rows)
    >>> batch["attention_mask"].tolist(), batch["labels"].tolist()
    ([[1, 1], [1, 0]], [[-100, 6], [7, -100]])
    """

    def __init__(self, pad_token_id: int) -> None:
        self.pad_token_id = pad_token_id

    def __call__(self, features: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        assert features, "a batch has at least one row"
        lengths = [len(row["input_ids"]) for row in features]
        shape = (len(features), max(lengths))
        input_ids = torch.full(shape, self.pad_token_id, dtype=torch.int64)
        labels = torch.full(shape, -100, dtype=torch.int64)
        for i, (row, length) in enumerate(zip(features, lengths, strict=True)):
            assert len(row["labels"]) == length, "one label per token"
            input_ids[i, :length] = torch.as_tensor(row["input_ids"], dtype=torch.int64)
            labels[i, :length] = torch.as_tensor(row["labels"], dtype=torch.int64)
        mask = torch.arange(shape[1]) < torch.tensor(lengths)[:, None]
        batch = {"input_ids": input_ids, "attention_mask": mask.to(torch.int64), "labels": labels}
        if all("row_id" in row for row in features):
            batch["row_id"] = torch.tensor([int(row["row_id"]) for row in features], dtype=torch.int64)
        return batch


class LabelPositions:
    """A collator that adds the positions of the labels, so that no pass has to find them on its device.

    Args:
        collate: Encoded rows -> a batch with `labels`, (B, L).

    Returns:
        (from a call) The batch with `label_positions`, (T,) int64: where in the flattened (B L) tokens the labels are
        that a token before them predicts, in order.

    >>> rows = [{"input_ids": [5, 6], "labels": [-100, 6]}, {"input_ids": [7], "labels": [7]}]
    >>> LabelPositions(AnswerCollator(0))(rows)["label_positions"].tolist()
    [1]
    """

    def __init__(self, collate: Callable[[Sequence[Mapping[str, Any]]], dict[str, torch.Tensor]]) -> None:
        self.collate = collate

    def __call__(self, features: Sequence[Mapping[str, Any]]) -> dict[str, torch.Tensor]:
        batch = dict(self.collate(features))
        labelled = batch["labels"] != -100
        labelled[:, :1] = False
        return {**batch, "label_positions": labelled.flatten().nonzero()[:, 0]}
