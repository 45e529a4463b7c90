"""Which forget row meets which retain row: a pure function of (seed, epoch, position).

Nothing is drawn while training and nothing needs to be saved: a run that resumes computes the same pairs again.
"""

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import torch
from torch.utils.data import Dataset, Sampler

Pair = tuple[int | None, int]  # (forget row, or None where the batch has no forget row left, retain row)


def permutation(size: int, *, seed: int, stream: int, cycle: int) -> list[int]:
    """A shuffled order of `size` rows, the same for the same arguments wherever it is computed."""
    generator = torch.Generator().manual_seed((seed * 4 + stream) * 1_000_003 + cycle)
    return torch.randperm(size, generator=generator).tolist()


FORGET, RETAIN = range(2)  # streams of permutations that share a seed and nothing else


def retain_rows(start: int, count: int, size: int, *, seed: int) -> list[int]:
    """Rows `start` to `start + count` of the endless retain stream: one shuffled pass after the other.

    Every row is used once before any is used again.
    """
    rows: list[int] = []
    while len(rows) < count:
        cycle, offset = divmod(start + len(rows), size)
        order = permutation(size, seed=seed, stream=RETAIN, cycle=cycle)
        rows += order[offset : offset + count - len(rows)]
    return rows


class PairSampler(Sampler[Pair]):
    """Pairs of one epoch: a shuffled pass over the forget rows beside a stretch of the retain stream.

    An epoch fills whole steps: where the forget rows do not divide by the effective batch, the last step has
    fewer forget rows (None in their place) and as many retain rows as any other, so that a forget set smaller than
    the batch, or of one row, still gets a full retain batch.

    Args:
        forget: Number of forget rows.
        retain: Number of retain rows.
        batch: Rows of each side in one step, over all processes and accumulated micro-batches.
        seed: Seed of both orders.
    """

    def __init__(self, forget: int, retain: int, *, batch: int, seed: int) -> None:
        self.forget, self.retain, self.batch, self.seed = forget, retain, batch, seed
        self.epoch = 0

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch that the next iteration yields."""
        self.epoch = epoch

    def __len__(self) -> int:
        return -(-self.forget // self.batch) * self.batch

    def __iter__(self) -> Iterator[Pair]:
        order: list[int | None] = [*permutation(self.forget, seed=self.seed, stream=FORGET, cycle=self.epoch)]
        order += [None] * (len(self) - self.forget)
        partners = retain_rows(self.epoch * len(self), len(self), self.retain, seed=self.seed)
        return iter(list(zip(order, partners, strict=True)))


class PairDataset(Dataset[dict[str, Any]]):
    """Items are pairs of encoded rows, asked for by a `Pair`."""

    def __init__(self, forget: Sequence[Mapping[str, Any]], retain: Sequence[Mapping[str, Any]]) -> None:
        self.forget, self.retain = forget, retain

    def __len__(self) -> int:
        return len(self.forget)

    def __getitem__(self, pair: Pair) -> dict[str, Any]:
        forget, retain = pair
        return {"forget": None if forget is None else self.forget[forget], "retain": self.retain[retain]}


class PairCollator:
    """Batches of pairs -> one batch of each side, each padded to its own longest row.

    A micro-batch that has no forget row gets a stand-in without labels: it adds exactly nothing, but every process
    runs the same passes.

    Args:
        collate: Makes a batch of tensors from encoded rows.
    """

    def __init__(self, collate: Any) -> None:
        self.collate = collate

    def __call__(self, items: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
        if "retain" not in items[0]:  # an evaluation batch has one side
            return self.collate(items)
        retain = [item["retain"] for item in items]
        forget = [item["forget"] for item in items if item["forget"] is not None]
        return {
            "retain": self.collate(retain),
            "forget": self.collate(forget or [_without_labels(retain[0])]),
        }


def _without_labels(row: Mapping[str, Any]) -> dict[str, Any]:
    ids = list(row["input_ids"])[:2]
    return {"input_ids": ids, "labels": [-100] * len(ids)}
