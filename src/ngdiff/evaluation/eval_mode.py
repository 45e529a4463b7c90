"""Run a model in evaluation mode, and restore its state afterwards."""

from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def eval_mode(model: torch.nn.Module) -> Iterator[None]:
    """No gradients and no dropout inside; afterwards every module is in the mode it was in.

    Modes are restored per module: `model.train()` would also change modules that were in evaluation mode before.
    `no_grad` and not `inference_mode`: buffers that a forward creates (rotary caches) must stay usable in
    training.
    """
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.no_grad():
            yield
    finally:
        for module, training in modes:
            module.training = training
