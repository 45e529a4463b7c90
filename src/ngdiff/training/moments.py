"""Moments of a training run, for observers of its memory or time.

An observer is a function that takes the name of a moment and returns a context manager, which is entered for as long as
the moment lasts. Set `trainer.observe` before `train`. Moments may be nested: with one gradient buffer both passes lie
within the combination.

The optimizer's step is not among them: it is torch's, which has hooks for it.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Literal

Moment = Literal[
    "references",  # passes of the model before unlearning, before the first step
    "check of the forward pass",  # before the first step
    "micro-batch",  # both passes, and their gradient buffers
    "retain pass",  # forward and backward pass of one micro-batch
    "forget pass",
    "combination of the gradients",  # from the last pass of a step: Gramian, weights, sum
    "probe of the learning rate",  # in steps that have one
    "copy for a rollback",  # before the optimizer's step
    "quick measure",  # before the first step and after a step
    "loss",  # forward pass of one batch without gradients, in a probe or of a set's rows
]
Observer = Callable[[Moment], AbstractContextManager[None]]

_NOTHING: AbstractContextManager[None] = nullcontext()


def unobserved(moment: Moment) -> AbstractContextManager[None]:
    """The observer of a run without an observer: it does nothing."""
    return _NOTHING
