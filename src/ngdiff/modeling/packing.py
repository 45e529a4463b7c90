"""How the rows of a batch are laid out for the model: one above the other with padding, or one after the other without.

A packed batch is one row, in which position ids start anew at 0 for each row and no attention mask is given. From that
transformers finds where a row ends (`masking_utils.find_packed_sequence_indices`): sdpa, eager and flex attention get a
block-diagonal mask, flash attention the rows' lengths. A model that does not look at position ids, or takes them for
something else, would let rows see each other; `checks.says_the_same_when_packed` finds it.

Where attention is taken row by row (`row_attention.py`) the beginning that all rows have in common, that of a template
or of a system prompt, may stand there once: what a causal model says of it is the same in all of them.

Tokens behind those that predict a label, the last of each row among them, have no part in a loss, as no token sees
those that follow it: the model is not given them, but where other rows of a padded batch are longer.

Padded batches are packed here, on the device, so that all that is said of a batch (labels, numbers of rows, other
answers) keeps its shape.

Shape legend: B rows, L tokens of the longest row, S tokens of all rows together, padding left out (and, where it is
shared, the common beginning of all rows but the first).
"""

from collections.abc import Mapping
from dataclasses import dataclass

from torch import Tensor, nn

from ngdiff.core.answers import IGNORED


@dataclass(frozen=True, slots=True)
class Layout:
    """What the model is given, and where in there labels are predicted.

    Args:
        inputs: Arguments of the model: `input_ids` with `attention_mask` (B, L), or with `position_ids` (1, S).
        predicts: Positions from which the next token of the same row is predicted and counts; bool, (B, L) or (1, S).
            In order, they are those of the labels, row after row.
        row_lengths: Tokens of each packed row that has any, with its beginning.
        beginning: How many of them are those of the first row, and stand there alone.
    """

    inputs: dict[str, Tensor]
    predicts: Tensor
    row_lengths: tuple[int, ...] = ()
    beginning: int = 0


def padded(batch: Mapping[str, Tensor], *, tails: bool = True) -> Layout:
    """The rows one above the other.

    Args:
        batch: `input_ids`, `attention_mask`, `labels`, each (B, L) int64; labels are -100 where no loss counts.
        tails: With the columns behind all labels.
    """
    predicts = _predicts(batch["labels"])
    columns = predicts.shape[1] if tails else int(_needed(predicts).any(0).sum()) or predicts.shape[1]
    inputs = {name: batch[name][:, :columns].contiguous() for name in ("input_ids", "attention_mask")}
    return Layout(inputs, predicts[:, :columns])


def packed(batch: Mapping[str, Tensor], *, tails: bool = True, shared: int = 0) -> Layout:
    """The rows one after the other, without padding.

    Args:
        batch: As for `padded`; what lies behind padding is no label.
        tails: With the tokens behind a row's labels.
        shared: Where no row is longer than this, their common beginning in front of all labels stands there once.

    >>> import torch
    >>> batch = {
    ...     "input_ids": torch.tensor([[5, 6, 7], [8, 9, 0]]),
    ...     "attention_mask": torch.tensor([[1, 1, 1], [1, 1, 0]]),
    ...     "labels": torch.tensor([[-100, -100, 7], [-100, 9, -100]]),
    ... }
    >>> layout = packed(batch)
    >>> layout.inputs["input_ids"].tolist(), layout.inputs["position_ids"].tolist()
    ([[5, 6, 7, 8, 9]], [[0, 1, 2, 0, 1]])
    >>> layout.predicts.int().tolist()
    [[0, 1, 0, 1, 0]]
    >>> packed(batch, tails=False).inputs["input_ids"].tolist()
    [[5, 6, 8]]
    """
    predicts = _predicts(batch["labels"])
    mask = given = batch["attention_mask"]
    if not tails and predicts.any():
        given = mask * _needed(predicts)
    row_lengths = tuple(length for length in given.sum(1).tolist() if length)
    beginning = 0
    if row_lengths and max(row_lengths) <= shared:
        rows = given.any(1).nonzero()[:, 0]  # those that are in there
        beginning = min(_common_beginning(batch["input_ids"][rows], given[rows], predicts[rows]), min(row_lengths) - 1)
        given = given.clone()
        given[rows[1:], :beginning] = 0
    tokens = given.flatten().nonzero()[:, 0]  # looked for once: on an accelerator each search waits for the result

    def in_one_row(values: Tensor) -> Tensor:
        return values.flatten()[tokens][None]

    return Layout(
        {"input_ids": in_one_row(batch["input_ids"]), "position_ids": in_one_row(mask.cumsum(1) - 1)},
        in_one_row(predicts),
        row_lengths,
        beginning,
    )


def _common_beginning(ids: Tensor, given: Tensor, predicts: Tensor) -> int:
    """Number of first columns in which all rows have the same token, from which none predicts a label."""
    if len(ids) < 2:
        return 0
    same = (ids == ids[0]).all(0) & given.all(0) & ~predicts.any(0)
    return int(same.cumprod(0).sum())


def _predicts(labels: Tensor) -> Tensor:
    """(B, L) bool: the next token of the row is a label."""
    return nn.functional.pad(labels[:, 1:] != IGNORED, (0, 1), value=False)


def _needed(predicts: Tensor) -> Tensor:
    """(B, L) bool: this token of a row or a later one predicts a label."""
    return predicts.flip(1).cumsum(1).flip(1) > 0
