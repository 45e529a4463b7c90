"""Two gradients in the place of one: `.grad` points at one side's buffers at a time.

Autograd accumulates into whatever tensor `.grad` refers to. Swapping that reference gives each side its own
accumulation buffers without copying, so that micro-batches of both sides may alternate in any order.
"""

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from typing import Literal

from torch import Tensor
from torch.nn import Parameter

Side = Literal["retain", "forget"]


class GradientSlots:
    """Gradient buffers of two sides over the same parameters.

    Buffers are kept per parameter, in the order given, because an optimizer's groups are not in the model's
    order.

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

    def __init__(self, parameters: Iterable[Parameter]) -> None:
        self.parameters = list(parameters)
        self._buffers: dict[Side, list[Tensor | None]] = {}

    @contextmanager
    def filling(self, side: Side) -> Iterator[None]:
        """Within, `.grad` of every parameter is this side's buffer; after, it is `None` again."""
        self._point_to(self._buffers.pop(side, [None] * len(self.parameters)))
        try:
            yield
        finally:
            self._buffers[side] = [p.grad for p in self.parameters]
            self._point_to([None] * len(self.parameters))

    def take(self, side: Side) -> list[Tensor | None]:
        """Hand over this side's gradient and forget it: the next `filling` starts from nothing."""
        return self._buffers.pop(side, [None] * len(self.parameters))

    def clear(self) -> None:
        """Drop both sides."""
        self._buffers.clear()

    def _point_to(self, gradients: list[Tensor | None]) -> None:
        for parameter, gradient in zip(self.parameters, gradients, strict=True):
            parameter.grad = gradient
