"""Hooks of an optimizer's step (`register_step_pre_hook`, `register_step_post_hook`) while a step is being measured.

Whoever registers one, an average of the weights say, means the steps of the run. Hooks that come after a step are
called by the run's own step alone, when the weights are final. Those that come before it may change gradients, which
the measured step must know: they are called before it is measured, and not again when the run's own step comes.
"""

import sys
from collections import OrderedDict
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, cast
from weakref import WeakKeyDictionary

from torch.optim import Optimizer
from torch.utils.hooks import RemovableHandle

# Of each optimizer whose pre-hooks were called: what puts them back when it steps.
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
    """Call the optimizer's pre-hooks as its next `step()` would, which then leaves them out.

    Those of all optimizers (`register_optimizer_step_pre_hook`) are left to the step itself.

    Raises:
        TypeError: a hook that returns arguments for `step()`: a step is measured without any.
    """
    target = cast(Any, optimizer)
    hooks = target._optimizer_step_pre_hooks
    if not hooks:
        return
    for hook in list(hooks.values()):
        if hook(optimizer, (optimizer,), {}) is not None:
            raise TypeError(
                f"a step pre-hook of {type(optimizer).__name__} returns arguments for step(), which the probes of "
                "AutoLR cannot hand on; use a fixed --learning-rate"
            )
    target._optimizer_step_pre_hooks = OrderedDict()

    def put_back(*_: Any) -> None:
        if target._optimizer_step_pre_hooks is not hooks:
            hooks.update(target._optimizer_step_pre_hooks)  # what was registered meanwhile
            target._optimizer_step_pre_hooks = hooks

    # Not removed by itself: the step goes through the post-hooks while it calls them.
    if (last := _PUT_BACK.get(optimizer)) is not None:
        last.remove()
    _PUT_BACK[optimizer] = optimizer.register_step_post_hook(put_back)
