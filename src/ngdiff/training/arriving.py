"""`ArrivingTrainer`: runs that end where their forget loss has come near to its levels."""

import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast

from ngdiff.training.arrival import ARRIVED, MOST, Arrival
from ngdiff.training.checkpoint import RunState
from ngdiff.training.levels import Levels
from ngdiff.training.moving import MovingTrainer
from ngdiff.training.prepare import refresh_levels

logger = logging.getLogger(__name__)


class ArrivingTrainer(MovingTrainer):
    """A `MovingTrainer` whose number of passes may follow from how the forget loss rises (`Arrival`)."""

    arrival: Arrival | None = None  # of a run under way that ends automatically

    @contextmanager
    def until_arrived(self) -> Iterator[None]:
        """Within the context, the run may take as many passes as it needs, if it ends automatically."""
        least = self.args.num_train_epochs
        if self.args.stops_arrived:
            self.arrival = Arrival(self.steps_of_pass, least)
            self.args.num_train_epochs = MOST * least
        try:
            yield
        finally:
            self.args.num_train_epochs, self.arrival = least, None

    def start_step(self) -> None:
        """Before a step: measure the levels again if they are due."""
        refresh_levels(self)

    def end_step(self) -> None:
        """After a step: has the forget loss reached its levels?"""
        if self.arrival is None or self.step_log.last is None:
            return
        loss, level = self.step_log.last.figures["loss_forget"], cast(Levels, self.compared.levels).mean()
        if self.arrival.see(self.state.global_step, loss, level):
            logger.info(
                "Pass %d: %s, %.2f. The run ends after step %d.",
                self.arrival.arrived,
                ARRIVED,
                level,
                self.arrival.end,
            )
        self.run_state.arrival = self.arrival.state()
        self.state.max_steps = self.arrival.end or self.state.max_steps

    @property
    def rate_may_rise(self) -> bool:
        """Not after the arrival, so that the losses settle."""
        return self.arrival is None or not self.arrival.arrived

    def _is_over(self, step: int) -> bool:
        if self.arrival is None or self._last_whole is None:
            return super()._is_over(step)
        self.arrival.resume(RunState.load(self._last_whole).arrival)
        return self.arrival.end is not None and step >= self.arrival.end

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(cast(Any, checkpoint))
        if checkpoint is not None and self.arrival is not None:
            self.arrival.resume(RunState.load(checkpoint).arrival)
