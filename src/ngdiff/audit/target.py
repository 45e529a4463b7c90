"""A model under attack that can be restored bit for bit."""

from collections.abc import Iterator
from typing import Any

import torch
from torch import Tensor


class Target:
    """A model and a copy of all its parameters and buffers on the host.

    Args:
        model: Any module. Its parameters and buffers may be changed in place, but not replaced.
    """

    def __init__(self, model: Any) -> None:
        self.model = model
        self._values = {name: tensor.detach().to("cpu", copy=True) for name, tensor in _tensors(model)}
        self._trained = {name: parameter.requires_grad for name, parameter in model.named_parameters()}
        self._modes = {name: module.training for name, module in model.named_modules()}

    @torch.no_grad()
    def restore(self) -> None:
        """Restore parameters, buffers, modes and `requires_grad`, and clear gradients."""
        for name, tensor in _tensors(self.model):
            tensor.copy_(self._values[name])
        for name, parameter in self.model.named_parameters():
            parameter.requires_grad_(self._trained[name])
            parameter.grad = None
        for name, module in self.model.named_modules():
            module.training = self._modes[name]


def _tensors(model: Any) -> Iterator[tuple[str, Tensor]]:
    yield from model.named_parameters()
    yield from model.named_buffers()
