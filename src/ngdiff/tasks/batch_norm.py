"""Batch normalisation with frozen statistics while everything else is in training mode."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn


@contextmanager
def frozen_statistics(model: nn.Module) -> Iterator[None]:
    """Within, every batch normalisation uses its running statistics and leaves them as they are.

    Scales and shifts are trained like other weights. A hook before each of these modules puts it into evaluation mode:
    `model.train()`, which a trainer calls at every step, would put it back. Afterwards the modules are in the mode they
    were in.
    """
    # `_BatchNorm` is the base of all of them, those synchronised between processes included.
    modules = [module for module in model.modules() if isinstance(module, nn.modules.batchnorm._BatchNorm)]
    modes = [module.training for module in modules]
    hooks = [module.register_forward_pre_hook(_evaluating) for module in modules]
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()
        for module, mode in zip(modules, modes, strict=True):
            module.training = mode


def _evaluating(module: nn.Module, inputs: Any) -> None:
    if module.running_mean is not None:  # without running statistics there are only those of the batch
        module.training = False
