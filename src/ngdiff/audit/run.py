"""Run an attack on a model and restore the model."""

import time
from collections.abc import Callable
from typing import Any

import torch

from ngdiff.audit.base import Attack, Bed, Variant
from ngdiff.audit.target import Target


class OutOfTimeError(Exception):
    """The time budget ran out before the attack was finished."""


class Budget:
    """A time budget that starts now.

    Args:
        minutes: Its length; None for no limit.
        clock: A monotonic clock, in seconds.
    """

    def __init__(self, minutes: float | None, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock, self._end = clock, None if minutes is None else clock() + 60 * minutes

    @property
    def is_spent(self) -> bool:
        """Whether the time is over."""
        return self._end is not None and self._clock() >= self._end


def run_attack(attack: Attack, model: Any, bed: Bed, budget: Budget | None = None) -> dict[str, Variant]:
    """All forms of an attack by name; afterwards the model is restored bit for bit.

    Random draws use the bed's seed and are the same for every model; the state of torch's generator is restored.

    Raises:
        OutOfTimeError: `budget` is spent before the last form; earlier results are dropped.
        NotApplicableError: the bed lacks what the attack needs.
    """
    target = Target(model)
    found: dict[str, Variant] = {}
    with torch.random.fork_rng():
        torch.manual_seed(bed.seed)
        forms = attack.run(target, bed)
        try:
            while budget is None or not budget.is_spent:
                if (form := next(forms, None)) is None:
                    return found
                found[form[0]] = form[1]
            raise OutOfTimeError
        finally:
            target.restore()
