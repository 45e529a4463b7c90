"""How the two gradients of a step come together: both kept until they are weighed, or one at a time in one buffer.

Memory for gradients beside the activations of one side, P the bytes of the trained weights: `TwoBuffers` 2P (P and what
is left of the other side when it waits in fewer bits or on the host), `OneBuffer` P, for a third pass.
"""

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Protocol, cast

import torch
from torch import Tensor
from torch.nn import Parameter

from ngdiff.core import Gramian, combine
from ngdiff.core.combine import scale_
from ngdiff.core.rows import WholeGradients, on_common_rows
from ngdiff.core.shards import gramian_over_shards, local
from ngdiff.core.slots import SIDES, GradientSlots, Side
from ngdiff.weighting import Weights

Batches = Mapping[Side, Any]
# Forward and backward pass of a side's batch, its objective times a factor; the gradient is added to `.grad`.
Pass = Callable[[Side, Any, float], None]
# The inner products of both gradients -> their weights.
Weigh = Callable[[Gramian], Weights]


class Gradients(Protocol):
    """From the micro-batches of a step to the combined gradient in `.grad`."""

    def add(self, batches: Batches, run: Pass) -> None:
        """One micro-batch of both sides."""

    def combine(self, weigh: Weigh, run: Pass) -> None:
        """After the last one: `.grad` is `w_r g_r + w_f g_f`, or None everywhere where both weights are 0."""


class TwoBuffers:
    """Retain pass, forget pass, each into buffers of its own.

    Args:
        parameters: Those that are trained.
        stash_dtype, stash_device: How the side that waits is kept (`GradientSlots`).
    """

    def __init__(
        self,
        parameters: Iterable[Parameter] = (),
        *,
        stash_dtype: torch.dtype | None = None,
        stash_device: str | None = None,
    ) -> None:
        self._slots = GradientSlots(parameters, stash_dtype=stash_dtype, stash_device=stash_device)
        self._whole = WholeGradients(self._slots.parameters)

    def add(self, batches: Batches, run: Pass) -> None:
        """Both passes."""
        for side in SIDES:
            with self._slots.filling(side):
                run(side, batches[side], 1.0)

    def combine(self, weigh: Weigh, run: Pass) -> None:
        """One Gramian, one sum in place; gradients that are sparse meet on the rows that either has."""
        g_r, g_f = self._slots.take("retain"), self._slots.take("forget")
        rows: dict[int, Tensor] = {}
        for index, pair in enumerate(zip(g_r, g_f, strict=True)):
            common, g_r[index], g_f[index] = on_common_rows(*pair)
            if common is not None:
                rows[index] = common
        weights = weigh(gramian_over_shards(g_r, g_f))
        if not any(weights):
            self._slots.restore(None)
            return
        combined = combine(g_r, g_f, *weights)
        for index, common in rows.items():
            combined[index] = self._whole.of(index, common, cast(Tensor, combined[index]))
        self._slots.restore(combined)


class OneBuffer:
    """One gradient buffer and three passes, for weightings that do not use the inner product of the gradients.

    1. Forget passes: `|g_f|`; the gradient is dropped.
    2. Retain passes: `|g_r|`, hence both weights; the buffer is multiplied by `w_r`.
    3. Forget passes again, of `w_f` times their objective, added to the buffer.

    The direction is that of `TwoBuffers` to rounding. Every pass must see the same model: no dropout, no statistics of
    a batch. Micro-batches wait until the last one has come.

    Args:
        parameters: Those that are trained.
    """

    def __init__(self, parameters: Iterable[Parameter]) -> None:
        self._slots = GradientSlots(parameters)
        self._waiting: list[Batches] = []

    def add(self, batches: Batches, run: Pass) -> None:
        """Keep it."""
        self._waiting.append(batches)

    def combine(self, weigh: Weigh, run: Pass) -> None:
        """All passes of the step."""
        waiting, self._waiting = self._waiting, []
        square_f = self._run("forget", waiting, run)
        self._slots.restore(None)
        square_r = self._run("retain", waiting, run)
        weights = weigh(Gramian(a=square_r, s=0.0, b=square_f))
        if not any(weights):
            self._slots.restore(None)
            return
        for parameter in self._slots.parameters:
            if parameter.grad is not None:
                scale_(local(parameter.grad), weights.retain)
        if weights.forget != 0.0:
            for batches in waiting:
                run("forget", batches["forget"], weights.forget)

    def _run(self, side: Side, waiting: list[Batches], run: Pass) -> float:
        """Squared norm of a side's gradient, which is then in `.grad`."""
        for batches in waiting:
            run(side, batches[side], 1.0)
        gradient = [parameter.grad for parameter in self._slots.parameters]
        return gramian_over_shards(gradient, [None] * len(gradient)).a
