"""How the rows of a batch are laid out for the model: one above the other with padding, or one after the other without.

A packed batch is one row, in which position ids start anew at 0 for each row and no attention mask is given. From that
transformers finds where a row ends (`masking_utils.find_packed_sequence_indices`): sdpa, eager and flex attention get a
block-diagonal mask, flash attention the rows' lengths. A model that does not look at position ids, or takes them for
something else, would let rows see each other; `checks.difference_if_packed` finds it.

Tokens behind those that predict a label, the last of each row among them, have no part in a loss, as no token sees
those that follow it: the model is not given them, but where other rows of a padded batch are longer.

Padded batches are packed here, on the device, so that all that is said of a batch (labels, numbers of rows, other
answers) keeps its shape.

Shape legend: B rows, L tokens of the longest row, S tokens of the long row: all, padding left out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

# Rows stand in one block down to this part of its longest one: attention costs the square of that for each.
_SHORTEST = 2 / 3


@dataclass(frozen=True, slots=True)
class RowBlocks:
    """Packed rows put one above the other, those of similar lengths together.

    Args:
        tokens: int64, of all blocks, flat and one after the other: where in the long row the tokens of each row are; 0
            behind its end.
        shapes: (B, L) of each block.
        places: (S,) int64, where in `tokens` those of the long row are.
        lengths: Of all rows, in the order of the long row.
    """

    tokens: Tensor
    shapes: tuple[tuple[int, int], ...]
    places: Tensor
    lengths: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Layout:
    """What the model is given, and where in there labels are predicted.

    Args:
        inputs: Arguments of the model: `input_ids` with `attention_mask` (B, L), or with `position_ids` (1, S).
        places: (T,) int64, positions in the flattened tokens from which the labels are predicted, in the order of
            the labels.
        row_lengths: Tokens of each packed row that has any.
        blocks: Where they are.
    """

    inputs: dict[str, Tensor]
    places: Tensor
    row_lengths: tuple[int, ...] = ()
    blocks: RowBlocks | None = None


def padded(batch: Mapping[str, Tensor], labels: Tensor, *, trailing_tokens: bool = True) -> Layout:
    """The rows one above the other.

    Args:
        batch: `input_ids` and `attention_mask`, each (B, L) int64.
        labels: (T,) int64, places of the labels in the flattened tokens (`label_positions`).
        trailing_tokens: With the columns behind all labels.
    """
    width = batch["input_ids"].shape[1]
    rows, columns = labels // width, labels % width
    last = width if trailing_tokens or not len(labels) else int(columns.max())
    inputs = {name: batch[name][:, :last].contiguous() for name in ("input_ids", "attention_mask")}
    return Layout(inputs, rows * last + columns - 1)


def packed(
    batch: Mapping[str, Tensor], labels: Tensor, *, trailing_tokens: bool = True, blocks: bool = False
) -> Layout:
    """The rows one after the other, without padding.

    Args:
        batch, labels: As for `padded`; what lies behind padding is no label.
        trailing_tokens: With the tokens behind a row's labels.
        blocks: Also say how the rows are put one above the other for attention.

    >>> import torch
    >>> batch = {
    ...     "input_ids": torch.tensor([[5, 6, 7], [5, 9, 0]]),
    ...     "attention_mask": torch.tensor([[1, 1, 1], [1, 1, 0]]),
    ... }
    >>> labels = torch.tensor([2])  # the last token of the first row
    >>> layout = packed(batch, labels)
    >>> layout.inputs["input_ids"].tolist(), layout.inputs["position_ids"].tolist()
    ([[5, 6, 7, 5, 9]], [[0, 1, 2, 0, 1]])
    >>> layout.places.tolist()
    [1]
    >>> packed(batch, labels, trailing_tokens=False).inputs["input_ids"].tolist()
    [[5, 6]]
    >>> layout = packed(batch, labels, blocks=True)
    >>> layout.blocks.tokens.tolist(), layout.blocks.shapes, layout.blocks.places.tolist()
    ([0, 1, 2, 3, 4, 0], ((2, 3),), [0, 1, 2, 3, 4])
    """
    mask = given = batch["attention_mask"].bool()
    if not trailing_tokens and len(labels):
        given = mask & _needed(labels, mask)
    lengths = given.sum(1).tolist()
    tokens = given.flatten().nonzero()[:, 0]

    def in_one_row(values: Tensor) -> Tensor:
        return values.flatten()[tokens][None]

    return Layout(
        {"input_ids": in_one_row(batch["input_ids"]), "position_ids": in_one_row(mask.cumsum(1) - 1)},
        (given.flatten().cumsum(0) - 1)[labels - 1],
        tuple(length for length in lengths if length),
        _blocks(given, lengths) if blocks else None,
    )


def _blocks(given: Tensor, lengths: Sequence[int]) -> RowBlocks:
    """The blocks of all rows that are given any token.

    Args:
        given: (B, L) bool, tokens of each row.
        lengths: Their number, row by row.
    """
    shapes: list[list[int]] = []
    starts, end = [0] * len(lengths), 0
    for row in sorted(filter(lengths.__getitem__, range(len(lengths))), key=lengths.__getitem__, reverse=True):
        if not shapes or lengths[row] < _SHORTEST * shapes[-1][1]:
            shapes.append([0, lengths[row]])
        shapes[-1][0] += 1
        starts[row], end = end, end + shapes[-1][1]
    places = (torch.tensor(starts, device=given.device)[:, None] + given.cumsum(1) - 1)[given]
    tokens = places.new_zeros(end)
    tokens[places] = torch.arange(len(places), device=given.device)
    return RowBlocks(tokens, tuple((rows, length) for rows, length in shapes), places, tuple(filter(None, lengths)))


def _needed(labels: Tensor, like: Tensor) -> Tensor:
    """(B, L) bool: this token of a row or a later one predicts a label."""
    predicts = torch.zeros_like(like).flatten().index_fill_(0, labels - 1, True).view_as(like)
    return predicts.flip(1).cumsum(1).flip(1) > 0
