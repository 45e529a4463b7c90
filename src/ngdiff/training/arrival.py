"""The end of a run whose forget losses have levels: it has arrived, and takes half as many passes again."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

# A pass has arrived if its mean forget loss is at least this fraction of the mean level. If the target distribution
# gives the right token a higher probability than the level does, the loss stays below the level.
_NEAR = 0.8
ARRIVED = "the forget loss has come near to that of rows never seen"  # in help and messages
_AGAIN = 1.5  # passes of a run / passes until its arrival: the retain loss settles after it
MOST = 6  # times `num_train_epochs`, however far away the loss still is


@dataclass
class Arrival:
    """Tells when a run ends.

    It ends after `max(least, 1.5 n)` passes, n being the first pass whose mean forget loss has come near to the mean
    level, and at the latest after `MOST` times `least`.

    Args:
        steps: Of one pass.
        least: Passes that are taken in any case.
        losses: Of the steps of this pass so far, in nats a token.
        arrived: The pass that arrived, from 1; 0 for none yet.
    """

    steps: int
    least: float
    losses: list[float] = field(default_factory=list)
    arrived: int = 0

    def see(self, step: int, loss: float, level: float) -> bool:
        """Note a step; whether the run has arrived with it.

        Args:
            step: Its number, from 1.
            loss: Mean forget loss of its rows.
            level: Mean level of all answer tokens to forget.
        """
        if self.arrived:
            return False
        self.losses.append(loss)
        if step % self.steps:
            return False
        mean = math.fsum(self.losses) / len(self.losses)
        self.losses = []
        if mean >= _NEAR * level:
            self.arrived = step // self.steps
        return self.arrived > 0

    @property
    def end(self) -> int | None:
        """The last step of the run, where it is known."""
        if not self.arrived:
            return None
        return min(
            max(math.ceil(self.least * self.steps), math.ceil(_AGAIN * self.arrived) * self.steps),
            math.ceil(MOST * self.least * self.steps),
        )

    def state(self) -> dict[str, Any]:
        """For a checkpoint."""
        return {"losses": self.losses, "arrived": self.arrived}

    def resume(self, state: Mapping[str, Any]) -> None:
        """As it was when a checkpoint was written."""
        self.losses, self.arrived = list(state.get("losses", [])), int(state.get("arrived", 0))
