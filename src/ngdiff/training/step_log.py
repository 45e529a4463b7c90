"""The figures of the steps since the last log line."""

import logging
from collections.abc import Mapping, Sequence

from ngdiff.training.step import StepReport

logger = logging.getLogger(__name__)


class StepLog:
    """Collects the report of each step, and merges their figures into the next log line.

    Attributes:
        last: The report of the last step of this process; None before it.
        waiting: Figures of the steps since the last log line.
    """

    def __init__(self) -> None:
        self.last: StepReport | None = None
        self.waiting: list[dict[str, float]] = []

    def take(self, report: StepReport) -> None:
        """Collect a step's report; the first of several idle steps gives a warning."""
        if report.idle and not (self.last and self.last.idle):
            logger.warning("Step %d: the weights do not change: %s.", report.number, report.idle)
        self.last = report
        self.waiting.append(dict(report.figures))

    def add(self, figures: Mapping[str, float]) -> None:
        """Add figures to those of the last step."""
        self.waiting[-1] |= figures

    def resume(self, waiting: Sequence[Mapping[str, float]]) -> None:
        """Continue from a checkpoint with the figures that were not logged yet."""
        self.waiting = [dict(figures) for figures in waiting]

    def merge_into(self, logs: dict[str, float]) -> None:
        """Add to a log line the mean of each figure since the last line, and the last learning rate."""
        for name in {name: None for figures in self.waiting for name in figures}:
            values = [figures[name] for figures in self.waiting if name in figures]
            logs[name] = values[-1] if name == "learning_rate" else sum(values) / len(values)
        self.waiting = []
