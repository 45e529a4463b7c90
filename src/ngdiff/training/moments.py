"""Moments of a training run, for those who watch it: what memory is needed for, where time goes.

An observer is a function that is called with the name of a moment and gives a context manager, within which that moment
passes. Set `trainer.observe` before `train`. Moments may lie within each other: with one gradient buffer both passes
lie within the combination.

The optimizer's step is not among them: it is torch's, which has hooks for it.
"""

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from typing import Literal

Moment = Literal[
    "references",  # the model before unlearning is asked, before the first step
    "check of the forward pass",  # before the first step
    "micro-batch",  # both passes, with what their gradients wait in
    "retain pass",  # forward and backward pass of one micro-batch
    "forget pass",
    "combination of the gradients",  # from the last pass of a step: Gramian, weights, sum
    "probe of the learning rate",  # in steps that have one
    "loss",  # forward pass of one batch without gradients, in a probe or of a set's rows
]
Observer = Callable[[Moment], AbstractContextManager[None]]

_NOTHING: AbstractContextManager[None] = nullcontext()


def unobserved(moment: Moment) -> AbstractContextManager[None]:
    """The observer of a run that nobody watches."""
    return _NOTHING
