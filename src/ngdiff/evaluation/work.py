"""Batches of independent items, computed once: shared by processes, kept in a journal, shown by a bar."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

from tqdm import tqdm

from ngdiff.evaluation.journal import Journal
from ngdiff.evaluation.processes import Processes


@dataclass(frozen=True)
class Work:
    """Who computes, and what is known already.

    The batches of a stage depend on its items alone, never on what is finished or on the number of processes: a
    resumed run and one in several processes compute the same batches, and thus the same numbers.
    """

    processes: Processes = field(default_factory=Processes)
    journal: Journal = field(default_factory=lambda: Journal(None))
    show_progress: bool = True

    def run(
        self,
        stage: str,
        batches: Sequence[Sequence[int]],
        compute: Callable[[list[int]], Sequence[Any]],
        *,
        sizes: Sequence[int] | None = None,
        unit: str = "row",
    ) -> dict[int, Any]:
        """Result by item.

        Args:
            stage: Its name in the journal and at the bar.
            batches: Items of each; every item once.
            compute: Results of the items of one batch: values that JSON can hold.
            sizes: Of each item, in `unit`s of the bar; 1 each by default.
            unit: Of the bar's rate.
        """
        # One reads it for all, before any of them adds to it.
        found = self.processes.broadcast(self.journal.finished(stage) if self.processes.is_main else None)
        unfinished = [list(batch) for batch in batches if not all(item in found for item in batch)]
        mine = unfinished[self.processes.rank :: self.processes.size]
        done: dict[int, Any] = {}
        size = (lambda item: 1) if sizes is None else sizes.__getitem__
        total = sum(size(item) for batch in mine for item in batch)
        shown = self.show_progress and self.processes.is_main and total > 0
        with tqdm(total=total, desc=stage, unit=unit, unit_scale=unit == "tok", disable=not shown) as bar:
            for batch in mine:
                values = list(compute(batch))
                self.journal.add(stage, batch, values)
                done.update(zip(batch, values, strict=True))
                bar.update(sum(size(item) for item in batch))
        wanted = {item for batch in batches for item in batch}
        return {item: value for item, value in found.items() if item in wanted} | self.processes.gather(done)
