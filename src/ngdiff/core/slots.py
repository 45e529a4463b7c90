"""Two gradients in the place of one: `.grad` points at one side's buffers at a time.

Autograd accumulates into whatever tensor `.grad` refers to. Swapping that reference gives each side its own
accumulation buffers without copying, so that micro-batches of both sides may alternate in any order. The side that
waits may be stashed meanwhile: in lower precision, on the host, or both.
"""

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor
from torch.nn import Parameter

Side = Literal["retain", "forget"]

SIDES: tuple[Side, ...] = ("retain", "forget")


class GradientSlots:
    """Gradient buffers of two sides over the same parameters.

    Buffers are kept per parameter, in the order given, because an optimizer's groups are not in the model's
    order.

    Args:
        parameters: Those that are trained.
        stash_dtype: Type of the stashed gradient; None: its own. In bfloat16 each entry is rounded once for each time
            it is stashed, by at most 2^-9 of itself.
        stash_device: Where it is stashed; None: it stays where it is.

    Example:
        >>> import torch
        >>> p = Parameter(torch.ones(2))
        >>> slots = GradientSlots([p])
        >>> with slots.filling("retain"):
        ...     (3 * p).sum().backward()
        >>> with slots.filling("forget"):
        ...     (5 * p).sum().backward()
        >>> slots.take("retain")[0], slots.take("forget")[0], p.grad
        (tensor([3., 3.]), tensor([5., 5.]), None)
    """

    def __init__(
        self,
        parameters: Iterable[Parameter],
        *,
        stash_dtype: torch.dtype | None = None,
        stash_device: torch.device | str | None = None,
    ) -> None:
        self.parameters = list(parameters)
        self._dtype, self._device = stash_dtype, stash_device
        self._buffers: dict[Side, list[Tensor | None]] = {}

    @contextmanager
    def filling(self, side: Side) -> Iterator[None]:
        """Within, `.grad` of every parameter is this side's buffer and the other side is stashed; afterwards `.grad` is
        `None` again."""
        for waiting in SIDES:
            if waiting != side and waiting in self._buffers:
                self._stash(self._buffers[waiting])
        self.restore(self._buffers.pop(side, None))
        try:
            yield
        finally:
            self._buffers[side] = [_summed(p.grad) for p in self.parameters]
            self.restore(None)

    def take(self, side: Side) -> list[Tensor | None]:
        """Hand over this side's gradient, stashed or not, and drop it: the next `filling` starts from nothing."""
        return self._buffers.pop(side, [None] * len(self.parameters))

    def restore(self, gradients: Sequence[Tensor | None] | None) -> None:
        """Make `.grad` these gradients, each of the type and in the place of its parameter; None: no gradient at all,
        so that an optimizer leaves the parameters alone."""
        for index, parameter in enumerate(self.parameters):
            gradient = None if gradients is None else gradients[index]
            parameter.grad = None if gradient is None else gradient.to(parameter.device, parameter.dtype)

    def _stash(self, gradients: list[Tensor | None]) -> None:
        for index, gradient in enumerate(gradients):  # one at a time: never a second copy of all
            if gradient is not None:
                gradients[index] = gradient.to(self._device or gradient.device, self._dtype or gradient.dtype)


def _summed(gradient: Tensor | None) -> Tensor | None:
    """The gradient; a sparse one coalesced, so that each row comes once."""
    return gradient.coalesce() if gradient is not None and gradient.is_sparse else gradient
