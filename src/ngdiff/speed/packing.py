"""How the rows of a batch are laid out for the model: padded, one row each, or packed into one long row.

In a packed batch position ids start at 0 again for each row, and there is no attention mask. From that transformers
finds where a row ends (`masking_utils.find_packed_sequence_indices`): sdpa, eager and flex attention get a
block-diagonal mask, flash attention the rows' lengths. In a model that ignores position ids, or uses them for something
else, rows would see each other; `checks.difference_if_packed` finds that out.

Trailing tokens, those after the last that predicts a label, have no part in a loss, as no token sees those that follow
it. The model is not given them, except where other rows of a padded batch are longer.

Padded batches are packed here, on the device, so that everything else about a batch (labels, number of rows,
alternative answers) keeps its shape.

Shape legend: B rows, L tokens of the longest row, S tokens of the long row: all, padding left out.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

# A block holds rows down to this fraction of its longest row: the cost of attention for each row is the square of the
# longest length.
_SHORTEST = 2 / 3


@dataclass(frozen=True, slots=True)
class RowBlocks:
    """Packed rows arranged as padded blocks for attention, rows of similar lengths in one block.

    Args:
        tokens: int64, all blocks flattened: the position in the long row of each token of each row; 0 for padding.
        shapes: (B, L) of each block.
        places: (S,) int64, where in `tokens` the tokens of the long row are.
        lengths: Of all rows, in the order of the long row.
    """

    tokens: Tensor
    shapes: tuple[tuple[int, int], ...]
    places: Tensor
    lengths: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Layout:
    """What the model is given, and where in it the labels are predicted.

    Args:
        inputs: Arguments of the model: `input_ids` with `attention_mask` (B, L), or with `position_ids` (1, S).
        places: (T,) int64, positions in the flattened tokens from which the labels are predicted, in the order of
            the labels.
        row_lengths: Number of tokens of each packed row that has any.
        blocks: The same rows as blocks, for row attention.
    """

    inputs: dict[str, Tensor]
    places: Tensor
    row_lengths: tuple[int, ...] = ()
    blocks: RowBlocks | None = None


def padded(batch: Mapping[str, Tensor], labels: Tensor, *, trailing_tokens: bool = True) -> Layout:
    """The rows with padding.

    Args:
        batch: `input_ids` and `attention_mask`, each (B, L) int64.
        labels: (T,) int64, positions of the labels in the flattened tokens (`label_positions`).
        trailing_tokens: Keep the columns after the last label.
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
        batch, labels: As for `padded`; no label comes after padding.
        trailing_tokens: Keep the tokens after a row's last label.
        blocks: Also arrange the rows as blocks for row attention.

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
    """The blocks of all rows that have a token.

    Args:
        given: (B, L) bool, the tokens of each row that the model is given.
        lengths: Their number in each row.
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
    """(B, L) bool: whether this token or a later one of its row predicts a label."""
    predicts = torch.zeros_like(like).flatten().index_fill_(0, labels - 1, True).view_as(like)
    return predicts.flip(1).cumsum(1).flip(1) > 0
