"""Which sequences share a forward pass, and which of them a row of it: chosen once, before the first."""

import logging
from collections.abc import Sequence
from dataclasses import dataclass, field

from torch import nn

from ngdiff.evaluation.batching import batches_by_tokens
from ngdiff.evaluation.eval_mode import eval_mode
from ngdiff.evaluation.plain_outputs import plain_outputs
from ngdiff.speed.beginnings import Labelled, Row, rows_by_beginning
from ngdiff.speed.checks import difference_if_shared

logger = logging.getLogger(__name__)

_WORTH = 0.8  # a row of more places than this part of its tokens is not worth its mask
_COMPARED = 2  # sequences of a row that are compared with the plain pass


@dataclass(frozen=True)
class Passes:
    """The batches of some sequences.

    Attributes:
        batches: Indices of the sequences, each in one batch.
        rows: For sequences that begin alike and share a row, the row: all sequences of it, which are neighbours in
            their batch. Without any, every pass is the plain one.
    """

    batches: list[list[int]]
    rows: dict[int, tuple[int, ...]] = field(default_factory=dict)

    def rows_of(self, batch: Sequence[int]) -> list[list[int]] | None:
        """The rows of a batch, as positions in it; None: each sequence has a row of its own."""
        if batch[0] not in self.rows:
            return None
        places = {index: place for place, index in enumerate(batch)}
        return [[places[index] for index in row] for row in dict.fromkeys(self.rows[index] for index in batch)]


def choose_passes(model: nn.Module, sequences: Sequence[Labelled], tokens_per_batch: int, speed: str) -> Passes:
    """The passes for some sequences: those that begin alike share rows, if that saves time and changes nothing.

    Before it is chosen, rows of the run are compared with the plain pass, the one with the longest sequence among them.

    Args:
        model: Whose passes they are.
        sequences: Input ids and labels of each.
        tokens_per_batch: Most tokens of a batch, padding included.
        speed: `auto`, or `off` for the plain pass.
    """
    lengths = [len(ids) for ids, _ in sequences]
    rows = [] if speed == "off" else _rows_worth_it(sequences, lengths, tokens_per_batch)
    compared = _compared(rows, lengths)
    saved = sum(sum(lengths[i] for i in row.members) - row.places for row in rows)
    if saved <= 2 * sum(lengths[i] for row in compared for i in row):  # what is compared is computed twice
        return Passes(batches_by_tokens(lengths, tokens_per_batch))
    with plain_outputs(model), eval_mode(model):
        difference = difference_if_shared(model, [[sequences[i] for i in row] for row in compared])
    if difference:
        logger.warning(
            "Each sequence is computed from its start, which takes longer: computing once what several begin with "
            "would change what this model says (%s).",
            difference,
        )
        return Passes(batches_by_tokens(lengths, tokens_per_batch))
    batches = [
        [index for place in batch for index in rows[place].members]
        for batch in batches_by_tokens([row.places for row in rows], tokens_per_batch)
    ]
    row_of = {index: tuple(row.members) for row in rows for index in row.members}
    alone = [index for index in range(len(sequences)) if index not in row_of]
    others = batches_by_tokens([lengths[index] for index in alone], tokens_per_batch)
    return Passes([*batches, *([alone[place] for place in batch] for batch in others)], row_of)


def _rows_worth_it(sequences: Sequence[Labelled], lengths: Sequence[int], tokens_per_batch: int) -> list[Row]:
    """Rows that save enough."""
    predicted = [index for index, length in enumerate(lengths) if length > 1]
    rows = rows_by_beginning([sequences[index][0] for index in predicted], tokens_per_batch)
    rows = [Row([predicted[place] for place in row.members], row.places) for row in rows]
    return [row for row in rows if row.places <= _WORTH * sum(lengths[index] for index in row.members)]


def _compared(rows: Sequence[Row], lengths: Sequence[int]) -> list[list[int]]:
    """The longest sequences of the row with the longest of all, and of the smallest row, which is padded beside it."""
    if not rows:
        return []
    longest = max(rows, key=lambda row: max(lengths[index] for index in row.members))
    smallest = min(rows, key=lambda row: row.places)
    chosen = [longest] if longest is smallest else [longest, smallest]
    return [sorted(row.members, key=lengths.__getitem__)[-_COMPARED:] for row in chosen]
