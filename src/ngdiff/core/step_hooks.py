"""Hooks of an optimizer's step (`register_step_pre_hook`, `register_step_post_hook`) while a step is being measured.

A hook, such as one that averages the weights, is meant for the steps of the run, not for the one that a probe measures.
Post-hooks are called by the run's own step alone, when the weights are final. Pre-hooks may change gradients, on which
the measured step depends: they are called once before it is measured, and not again by the run's own step.
"""

import sys
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast
from weakref import WeakKeyDictionary

from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

# Optimizer whose pre-hooks were called early -> the post-hook that restores them.
_PUT_BACK: WeakKeyDictionary[Optimizer, RemovableHandle] = WeakKeyDictionary()


@contextmanager
def no_step_hooks(optimizer: Optimizer) -> Iterator[None]:
    """Within, `optimizer.step()` calls no hooks, neither its own nor those of all optimizers."""
    everywhere: Any = sys.modules[Optimizer.__module__]  # `torch.optim` has no attribute of its name
    places = (
        (optimizer, "_optimizer_step_pre_hooks"),
        (optimizer, "_optimizer_step_post_hooks"),
        (everywhere, "_global_optimizer_pre_hooks"),
        (everywhere, "_global_optimizer_post_hooks"),
    )
    kept = [getattr(owner, name) for owner, name in places]
    for owner, name in places:
        setattr(owner, name, OrderedDict())
    try:
        yield
    finally:
        for (owner, name), hooks in zip(places, kept, strict=True):
            setattr(owner, name, hooks)


def call_pre_hooks(optimizer: Optimizer) -> None:
    """Call the optimizer's pre-hooks now; its next `step()` then skips them.

    Global ones (`register_optimizer_step_pre_hook`) are left to the step itself.

    Raises:
        TypeError: a hook returns arguments for `step()`, which is measured without arguments.
    """
    target = cast(Any, optimizer)
    hooks = target._optimizer_step_pre_hooks
    if not hooks:
        return
    for hook in list(hooks.values()):
        if hook(optimizer, (optimizer,), {}) is not None:
            raise TypeError(
                f"a step pre-hook of {type(optimizer).__name__} returns arguments for step(), which the probes of "
                "AutoLR cannot pass on; use a fixed --learning-rate"
            )
    target._optimizer_step_pre_hooks = OrderedDict()

    def put_back(*_: Any) -> None:
        if target._optimizer_step_pre_hooks is not hooks:
            hooks.update(target._optimizer_step_pre_hooks)  # those registered meanwhile
            target._optimizer_step_pre_hooks = hooks

    # The hook does not remove itself: the step is iterating over the post-hooks while it runs.
    if (last := _PUT_BACK.get(optimizer)) is not None:
        last.remove()
    _PUT_BACK[optimizer] = optimizer.register_step_post_hook(put_back)
