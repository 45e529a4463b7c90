"""The runs of a recipe and their numbers, as sweeps left them."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ngdiff.report.logs import Log, read_log
from ngdiff.scoring.quantities import quantities

BEFORE, RETRAINED = "before", "retrained"


@dataclass(frozen=True)
class Ran:
    """A run of a sweep.

    Attributes:
        variant: Its method, or `BEFORE` and `RETRAINED` for the models that it is compared with.
        metrics: Contents of its `metrics.json`; None if it has none.
        folder: Of its model.
        fault: How it failed; empty if it did not.
    """

    variant: str
    metrics: Mapping[str, Any] | None
    folder: Path
    fault: str = ""

    def value(self, key: str) -> float | None:
        """A number by its key, such as `forget.loss`."""
        if self.metrics is None:
            return None
        found = {quantity.key: quantity for quantity in quantities([self.metrics])}
        return found[key].value(self.metrics) if key in found else None

    def log(self) -> Log:
        """The figures of its steps."""
        return read_log(self.folder)


@dataclass(frozen=True)
class Group:
    """All runs of one model on one data set.

    Attributes:
        data: Data set.
        model: As tables and figures show it.
        paper: The model of the paper whose numbers stand beside it.
        runs: A run for each variant and seed.
    """

    data: str
    model: str
    paper: str
    runs: Sequence[Ran]

    def of(self, variant: str) -> list[Ran]:
        """The runs of a variant, one for each seed."""
        return [run for run in self.runs if run.variant == variant]
