"""Which forget row meets which retain row: a pure function of (seed, epoch, position).

Nothing is drawn while training and nothing needs to be saved: a run that resumes computes the same pairs again.
"""

import copy
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import torch
from torch.utils.data import Dataset, Sampler

from ngdiff.tasks.alternates import choices
from ngdiff.training.grouping import grouped


class Pair(NamedTuple):
    """The rows that meet at one position.

    Args:
        forget: Forget row; None where the step has no forget row left.
        retain: Retain row.
        choice: Number of the alternative answer of the forget row; None where forget rows have none.
        protect: Protected row; None at positions without one.
    """

    forget: int | None
    retain: int
    choice: int | None = None
    protect: int | None = None


def permutation(
    size: int,
    *,
    seed: int,
    stream: int,
    cycle: int,
    lengths: Sequence[int] | None = None,
    batch: int = 1,
    start: int = 0,
) -> list[int]:
    """A shuffled order of `size` rows, the same for the same arguments wherever it is computed.

    Args:
        size: Number of rows.
        seed, stream, cycle: Choose the order.
        lengths: Tokens of each row, so that rows of a batch have similar lengths. None: a plain shuffle.
        batch, start: As in `ngdiff.training.grouping.grouped`; unused without lengths.
    """
    generator = torch.Generator().manual_seed((seed * 4 + stream) * 1_000_003 + cycle)
    order = torch.randperm(size, generator=generator)
    if lengths is not None:
        order = grouped(order, lengths, batch=batch, start=start, generator=generator)
    return order.tolist()


FORGET, RETAIN, PROTECT = 0, 1, 3  # streams of draws that share a seed and nothing else; 2: ngdiff.tasks.alternates
PROTECT_EVERY = 4  # one pair of this many brings a protected row


def rows_of_stream(
    start: int,
    count: int,
    size: int,
    *,
    seed: int,
    stream: int = RETAIN,
    lengths: Sequence[int] | None = None,
    batch: int = 1,
) -> list[int]:
    """Rows `start` to `start + count` of an endless stream: one shuffled pass over a set after the other.

    Every row is used once before any is used again.

    Args:
        start, count: Which part of the stream.
        size: Number of rows of the set.
        seed, stream: Choose the stream.
        lengths, batch: Tokens of each row, and rows of a step, to group rows by length; None: a plain shuffle.
    """
    rows: list[int] = []
    while len(rows) < count:
        cycle, offset = divmod(start + len(rows), size)
        order = permutation(
            size, seed=seed, stream=stream, cycle=cycle, lengths=lengths, batch=batch, start=cycle * size
        )
        rows += order[offset : offset + count - len(rows)]
    return rows


class PairSampler(Sampler[Pair]):
    """Pairs of one epoch: a shuffled pass over the forget rows beside a stretch of the retain stream.

    An epoch consists of whole steps: if the forget rows do not fill the last one, it has fewer forget rows (None in
    their place) and as many retain rows as any other, so that even a forget set of one row gets a full retain batch.

    With lengths, the rows of a step have similar lengths on each side, independently of the other side, and are sorted
    by length. Rows are grouped by steps, not by micro-batches, so that a run split into micro-batches or over processes
    takes the same steps.

    Args:
        forget: Number of forget rows.
        retain: Number of retain rows.
        batch: Rows of each side in one step, over all processes and accumulated micro-batches.
        seed: Seed of both orders.
        alternates: Number of alternative answers that a forget row may get; 0: pairs carry none.
        protect: Number of protected rows, of which every fourth pair carries one; 0: pairs carry none.
        lengths: Tokens of each forget row and of each retain row; None: a plain shuffle.
    """

    def __init__(
        self,
        forget: int,
        retain: int,
        *,
        batch: int,
        seed: int,
        alternates: int = 0,
        protect: int = 0,
        lengths: tuple[Sequence[int], Sequence[int]] | None = None,
    ) -> None:
        self.forget, self.retain, self.batch, self.seed = forget, retain, batch, seed
        self.alternates, self.protect = alternates, protect
        self._forget_lengths = None if lengths is None else lengths[0]
        self._retain_lengths = None if lengths is None else lengths[1]
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that the next iteration yields."""
        self.epoch = epoch

    def __len__(self) -> int:
        return -(-self.forget // self.batch) * self.batch

    def __iter__(self) -> Iterator[Pair]:
        order: list[int | None] = [
            *permutation(
                self.forget,
                seed=self.seed,
                stream=FORGET,
                cycle=self.epoch,
                lengths=self._forget_lengths,
                batch=self.batch,
            )
        ]
        order += [None] * (len(self) - self.forget)
        start = self.epoch * len(self)
        partners = self.retain_rows(start, len(self))
        drawn = choices(self.forget, self.alternates, seed=self.seed, epoch=self.epoch) if self.alternates else []
        chosen = [drawn[row or 0] for row in order] if drawn else [None] * len(self)
        return iter(list(map(Pair, order, partners, chosen, self.protected_rows(start, len(self)))))

    def protected_rows(self, start: int, count: int) -> list[int | None]:
        """The protected row of each position from `start`; None at those without one."""
        if not self.protect:
            return [None] * count
        first = -(-start // PROTECT_EVERY)
        rows = iter(
            rows_of_stream(
                first, -(-(start + count) // PROTECT_EVERY) - first, self.protect, seed=self.seed, stream=PROTECT
            )
        )
        return [None if place % PROTECT_EVERY else next(rows) for place in range(start, start + count)]

    def in_steps_of(self, rows: int) -> "PairSampler":
        """The same sampler at its start, for steps of another number of pairs."""
        other = copy.copy(self)
        other.batch, other.epoch = rows, 0
        return other

    def retain_rows(self, start: int, count: int) -> list[int]:
        """Rows `start` to `start + count` of the retain stream, which the epochs continue one after the other."""
        return rows_of_stream(start, count, self.retain, seed=self.seed, lengths=self._retain_lengths, batch=self.batch)


class PairDataset(Dataset[dict[str, Any]]):
    """Items are pairs of encoded rows, indexed by a `Pair`; each row carries its number as `row_id`.

    Args:
        forget: Encoded rows.
        retain: Encoded rows.
        alternates: `alternates[row, choice]`: forget rows with alternative answers, if there are any.
        protect: Encoded rows, if there are any.
    """

    def __init__(
        self,
        forget: Sequence[Mapping[str, Any]],
        retain: Sequence[Mapping[str, Any]],
        alternates: Any = None,
        protect: Sequence[Mapping[str, Any]] | None = None,
    ) -> None:
        self.forget, self.retain, self.alternates, self.protect = forget, retain, alternates, protect

    def __len__(self) -> int:
        return len(self.forget)

    def __getitem__(self, pair: Pair) -> dict[str, Any]:
        item = {
            "forget": None if pair.forget is None else {**self.forget[pair.forget], "row_id": pair.forget},
            "retain": {**self.retain[pair.retain], "row_id": pair.retain},
        }
        if pair.choice is not None and pair.forget is not None:
            item["alternate"] = self.alternates[pair.forget, pair.choice]
        if pair.protect is not None and self.protect is not None:
            item["protect"] = {**self.protect[pair.protect], "row_id": pair.protect}
        return item


class PairCollator:
    """Batches of pairs -> one batch of each side, each padded to its own longest row.

    A micro-batch without forget or protected rows gets a placeholder without labels: it adds exactly nothing, but every
    process runs the same passes.

    Args:
        collate: Makes a batch of tensors from encoded rows.
        placeholder: Makes a row without labels in the form of a given one.
        alternates: Whether forget rows come with alternative answers, which then lie in `batch["forget"]["alternate"]`.
        protect: Whether there are protected rows, which then lie in `batch["retain"]["protect"]`.
    """

    def __init__(
        self, collate: Any, placeholder: Callable[[Any], Any], *, alternates: bool = False, protect: bool = False
    ) -> None:
        self.collate, self.placeholder, self.alternates, self.protect = collate, placeholder, alternates, protect

    def __call__(self, items: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        if "retain" not in items[0]:  # an evaluation batch has one side
            return self.collate(items)
        retain = [item["retain"] for item in items]
        forget = [item["forget"] for item in items if item["forget"] is not None]
        placeholder = [self.placeholder(retain[0])]
        batch = {"retain": self.collate(retain), "forget": self.collate(forget or placeholder)}
        alternates = [item["alternate"] for item in items if "alternate" in item]
        if alternates or (self.alternates and not forget):
            batch["forget"]["alternate"] = self.collate(alternates or placeholder)
        if self.protect:
            protected = [item["protect"] for item in items if "protect" in item]
            batch["retain"]["protect"] = self.collate(protected or placeholder)
        return batch
