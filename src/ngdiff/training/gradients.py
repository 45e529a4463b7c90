"""The two gradients of a step, combined: both kept until they are weighed, or one at a time in a single buffer.

Memory for gradients in addition to the activations of one side, P the bytes of the trained weights: `TwoBuffers` 2P
(less if the other side is stashed in lower precision or on the host), `OneBuffer` P, for a third pass.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, Protocol, cast

import torch
from torch import Tensor
from torch.nn import Parameter

from ngdiff.core import EntryRule, Gramian, choose_entries, combine
from ngdiff.core.combine import scale_
from ngdiff.core.shards import gramian_over_shards, local
from ngdiff.core.slots import SIDES, GradientSlots, Side
from ngdiff.core.sparse_rows import DenseBuffers, on_common_rows
from ngdiff.training.gradient_options import GradientOptions
from ngdiff.weighting import Weights

Batches = Mapping[Side, Any]
# Forward and backward pass of a side's batch, its objective times a factor; the gradient is added to `.grad`.
Pass = Callable[[Side, Any, float], None]


class BothGradients(Protocol):
    """The two gradients of a step."""

    products: Gramian

    def combine(self, weights: Weights, run: Pass) -> None:
        """Once: `.grad` is then `w_r g_r + w_f g_f`, or None everywhere where both weights are 0."""

    @property
    def entries(self) -> Mapping[Side, float] | None:
        """If a rule chooses entries: the fraction of entries that come from each side, after `combine`; else None."""


class Gradients(Protocol):
    """From the micro-batches of a step to the combined gradient in `.grad`."""

    def add(self, batches: Batches, run: Pass) -> None:
        """One micro-batch of both sides."""

    def take(self, run: Pass) -> BothGradients:
        """After the last one."""


class TwoBuffers:
    """Retain pass and forget pass, each into its own buffers.

    Args:
        parameters: Those that are trained.
        stash_dtype, stash_device: How the waiting side is stashed (`GradientSlots`).
        rule: Of each entry, whose counts; None: both.
    """

    def __init__(
        self,
        parameters: Iterable[Parameter] = (),
        *,
        stash_dtype: torch.dtype | None = None,
        stash_device: str | None = None,
        rule: EntryRule | None = None,
    ) -> None:
        self._rule = rule
        self._slots = GradientSlots(parameters, stash_dtype=stash_dtype, stash_device=stash_device)
        self._whole = DenseBuffers(self._slots.parameters)

    def add(self, batches: Batches, run: Pass) -> None:
        """Both passes."""
        for side in SIDES:
            with self._slots.filling(side):
                run(side, batches[side], 1.0)

    def take(self, run: Pass) -> BothGradients:
        """Take both gradients; no further pass is needed."""
        return _TwoGradients(self._slots, self._whole, self._rule)


class _TwoGradients:
    """Both gradients, one Gramian, one sum in place; sparse gradients are restricted to the rows that either has."""

    entries: Mapping[Side, float] | None = None

    def __init__(self, slots: GradientSlots, whole: DenseBuffers, rule: EntryRule | None) -> None:
        self._slots, self._whole, self._rule = slots, whole, rule
        self._g_r, self._g_f = slots.take("retain"), slots.take("forget")
        self._rows: dict[int, Tensor] = {}
        for index, pair in enumerate(zip(self._g_r, self._g_f, strict=True)):
            common, self._g_r[index], self._g_f[index] = on_common_rows(*pair)
            if common is not None:
                self._rows[index] = common
        self.products = gramian_over_shards(self._g_r, self._g_f)

    def combine(self, weights: Weights, run: Pass) -> None:
        """Sum both gradients into `.grad`."""
        if self._rule is not None:
            parts = [float(weight != 0.0) for weight in weights]
            if all(weights):
                parts = [*choose_entries(self._g_r, self._g_f, self._rule)]
            self.entries = dict(zip(SIDES, parts, strict=True))
        if not any(weights):
            self._slots.restore(None)
            return
        combined = combine(self._g_r, self._g_f, *weights)
        for index, common in self._rows.items():
            combined[index] = self._whole.scatter(index, common, cast(Tensor, combined[index]))
        self._slots.restore(combined)


class OneBuffer:
    """One gradient buffer and three passes, for weightings that do not use the inner product of the gradients.

    1. Forget passes: `|g_f|`; the gradient is dropped.
    2. Retain passes: `|g_r|`, hence both weights; the buffer is multiplied by `w_r`.
    3. Forget passes again, of `w_f` times their objective, added to the buffer.

    The direction is that of `TwoBuffers` to rounding. Every pass must see the same model: no dropout, no statistics of
    a batch. Micro-batches are kept until the last one.

    Args:
        parameters: Those that are trained.
    """

    def __init__(self, parameters: Iterable[Parameter]) -> None:
        self._slots = GradientSlots(parameters)
        self._waiting: list[Batches] = []

    def add(self, batches: Batches, run: Pass) -> None:
        """Keep a micro-batch until `take`."""
        self._waiting.append(batches)

    def take(self, run: Pass) -> BothGradients:
        """All passes but the last."""
        waiting, self._waiting = self._waiting, []
        return _OneGradient(self._slots, waiting, run)


class _OneGradient:
    """The retain gradient, and the norm of the other."""

    entries: Mapping[Side, float] | None = None

    def __init__(self, slots: GradientSlots, waiting: Sequence[Batches], run: Pass) -> None:
        self._slots, self._waiting = slots, waiting
        square_f = self._run("forget", run)
        slots.restore(None)
        square_r = self._run("retain", run)
        self.products = Gramian(a=square_r, s=0.0, b=square_f)

    def combine(self, weights: Weights, run: Pass) -> None:
        """The last pass, added to the retain gradient."""
        if not any(weights):
            self._slots.restore(None)
            return
        for parameter in self._slots.parameters:
            if parameter.grad is not None:
                scale_(local(parameter.grad), weights.retain)
        if weights.forget != 0.0:
            for batches in self._waiting:
                run("forget", batches["forget"], weights.forget)

    def _run(self, side: Side, run: Pass) -> float:
        """Squared norm of a side's gradient, which is then in `.grad`."""
        for batches in self._waiting:
            run(side, batches[side], 1.0)
        gradient = [parameter.grad for parameter in self._slots.parameters]
        return gramian_over_shards(gradient, [None] * len(gradient)).a


def gradients_for(
    args: GradientOptions, parameters: Iterable[Parameter], *, rule: EntryRule | None = None
) -> Gradients:
    """The gradient buffers that the options of a run ask for.

    Args:
        args: Options.
        parameters: Those that are trained.
        rule: Of each entry, whose counts; None: both. Options with one buffer and a rule are refused before.
    """
    if args.gradient_buffers == 1:
        return OneBuffer(parameters)
    return TwoBuffers(parameters, stash_dtype=args.waiting_dtype, stash_device=args.waiting_device, rule=rule)
