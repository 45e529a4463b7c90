"""The learning rate, found from the retain loss along the optimizer's own step (paper Eq. 6, Algorithm 1).

`phi(rho)` is the retain loss at `theta_0 - rho d`, where `d` is the direction the optimizer takes. A probe fits a
parabola to `phi` and moves the learning rate to its minimum.
"""

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from typing import Any

import torch
from torch import Tensor
from torch.optim import Optimizer

from ngdiff.core.lean_line import (
    InPlaceStepLine,
    LeanStepLine,
    UncopiableOptimizerError,
    check_on_copy,
    rounding,
)
from ngdiff.core.line import StepLine, learning_rate
from ngdiff.core.parabola import Parabola

RetainLoss = Callable[[], float]

# The search starts where a step changes the weights by this part of their norm.
_RELATIVE_START = 1e-3
# The search multiplies or divides its radius by at most this.
_STRIDE = 16.0
# It has arrived when the parabola's minimum lies within this factor of the radius it was fitted at.
_AGREEMENT = 1.5
# 16^12 spans 14 orders of magnitude: more than lie between the noise of the loss and its explosion.
_SEARCH_ROUNDS = 12
# An ordinary probe whose differences drown in noise is repeated with a larger radius so many times.
_WIDENINGS = 5
# A lean probe scales the step itself, and not a direction measured apart, where the step is known to be so many times
# as long as the rounding of the weights.
_ROUNDINGS = 128.0
# What is known of a step's length counts so much with each probe that does not measure it: Adam's steps grow shorter by
# a factor of ten and more, and as much as gradients do.
_AGEING = 0.5


@dataclass(frozen=True, slots=True)
class AutoLRSettings:
    """How the learning rate is found.

    Args:
        interval: Steps from one probe to the next (Remark 3.2 of the paper: 10).
        search: Whether the first step searches along the line for the scale of the learning rate. Without, a start
            that is far too small never gets going under a bounded change.
        start: First radius of the search, or first learning rate where there is no search. None: the radius
            at which a step changes the weights by a thousandth of their norm.
        max_change: A probe asks for a learning rate within this factor of the last; None for no bound.
        inertia: Weight of the last learning rate in the new one, in the logarithm: one probe is one small batch. GeN
            averages as well, with 0.9 (of the rates themselves). 0: the new rate is what the probe asks for.
        noise: Rounding noise of one loss, relative to it: 1e-6 in fp32, 3e-4 under bf16. A fit whose differences do
            not stand above it is repeated with a wider radius, and not used if none of them does.
        tolerance: The search never asks for less than the radius at which curvature alone raises the retain loss by
            this part. Not in the paper: a model that recites its retain rows stands at the bottom of their
            loss, where the sign of the slope on fresh rows is a coin toss and `b / h` says "stay" whatever
            the scale of the line (measured on three targets: 1e-4, 7e-6 and 1e-7 where 2e-4 forgets).
        memory: `exact`: a probe leaves everything as it was. `lean`: it also takes the optimizer's step, at the rate
            that it finds, which saves a copy of the optimizer's state and one of the weights
            (`ngdiff.core.lean_line.LeanStepLine`; where steps are long beside the rounding of the weights,
            `InPlaceStepLine`). `auto`: lean, unless the weights have fewer bits than fp32 or the
            optimizer cannot be tried on a copy.
        origin_device: Where a lean probe keeps the weights that it started from; None: where they are.
    """

    interval: int = 10
    search: bool = True
    start: float | None = None
    max_change: float | None = 4.0
    inertia: float = 0.5
    noise: float = 1e-6
    tolerance: float = 0.01
    memory: str = "exact"
    origin_device: str | None = None

    @classmethod
    def as_printed(cls, start: float, *, noise: float = 1e-6) -> "AutoLRSettings":
        """Algorithm 1 of the paper as printed: no search, no bound, no average.

        One thing is ours: where the differences drown in noise (Remark 3.1) the radius widens before the rate is
        kept. Which rows are probed is the caller's: the paper probes those that gave the gradient.
        """
        return cls(search=False, start=start, max_change=None, inertia=0.0, noise=noise)


@dataclass(slots=True)
class Probe:
    """What one probe saw and did.

    Args:
        before: Learning rate before.
        after: Learning rate after.
        accepted: Whether a fit was used.
        reason: Why not, or what was done; a few words.
        fits: Every parabola, in the order taken: `rho`, the three losses.
        forwards: Losses evaluated.
        relative_step: `|d| / |theta_0|`, a step's length at learning rate 1 in lengths of the weights. A probe that
            does not measure it has half of what the one before it had; 0 where it is unknown.
    """

    before: float
    after: float = math.nan
    accepted: bool = False
    reason: str = ""
    fits: list[Parabola] = field(default_factory=list)
    forwards: int = 0
    relative_step: float = 0.0

    def as_dict(self) -> dict[str, Any]:
        """Plain numbers, for logs and JSON."""
        return asdict(self)


class AutoLR:
    """Chooses the learning rate of an optimizer from probes of the retain loss.

    Weights, optimizer state and gradients are, after a probe, what they were before, bit for bit. A lean probe also
    takes the step, and leaves no gradients: the `optimizer.step()` that follows then changes nothing.

    Args:
        settings: How.
    """

    def __init__(self, settings: AutoLRSettings) -> None:
        self.settings = settings
        self._checked = False
        self._lean = False

    def is_due(self, step: int) -> bool:
        """Whether step number `step`, counted from 1, starts with a probe."""
        return (self.settings.search and step == 1) or step % self.settings.interval == 0

    def probe(
        self,
        optimizer: Optimizer,
        loss: RetainLoss,
        *,
        search: bool = False,
        here: float | None = None,
        relative_step: float = 0.0,
        spare: list[Tensor] | None = None,
    ) -> Probe:
        """Fit the retain loss along the step that the optimizer would now take and set its learning rate.

        Args:
            optimizer: With final gradients in `.grad`, its step linear in the learning rate.
            loss: Retain loss at the current weights, the same rows at every call. Called once at `rho = 0` and twice
                for each fit.
            search: Look for the scale of the learning rate first, from `settings.start`.
            here: The loss at `rho = 0` where it is known: of the rows that gave the gradient.
            relative_step: That of the run's last probe: from it a lean one knows whether it needs `d` by itself.
            spare: Tensors whose memory a lean probe may use (`LeanStepLine`). The list is empty afterwards.

        Raises:
            NonlinearOptimizerError: the optimizer's step is not linear in the learning rate.
        """
        probe = Probe(before=learning_rate(optimizer), relative_step=relative_step)
        if here is None:  # before the line is open: its first step leads away from here
            here = loss()
            probe.forwards += 1
        least = _ROUNDINGS * rounding(optimizer)
        with self._line(optimizer, spare, in_place=not search and probe.before * relative_step > least) as line:
            self._checked = True
            phi = _Evaluations(line, loss, probe, here)
            if isinstance(line, InPlaceStepLine):
                rate = self._update(phi, probe.before)
                # Lost in noise: of the losses, or of the step's own rounding. Next time it is measured.
                probe.relative_step *= _AGEING if self._is_sure(probe.fits[0]) else 0.0
            elif 0.0 < line.step_norm < math.inf:
                start = self.settings.start
                in_use = self._lean and least < 1.0  # in bf16 no step is that long
                weights = line.weight_norm() if in_use or (search and not start) else 0.0
                probe.relative_step = line.step_norm / weights if weights else 0.0
                if search:
                    start = start or _RELATIVE_START * weights / line.step_norm
                    rate = self._search(phi, start or probe.before)
                else:
                    rate = self._update(phi, probe.before)
            else:
                probe.reason = f"step of length {line.step_norm}"
                rate = probe.before
            line.settle(rate)
        probe.after = rate
        return probe

    def _line(self, optimizer: Optimizer, spare: list[Tensor] | None, *, in_place: bool) -> StepLine:
        """Where the probe looks; `in_place`: a lean one need not keep `d`."""
        check = not self._checked
        if check:
            self._lean = self._may_be_lean(optimizer)
        if not self._lean:
            if spare is not None:
                spare.clear()
            return StepLine(optimizer, check=check)
        check &= self.settings.memory != "auto"  # `_may_be_lean` has looked
        device = self.settings.origin_device
        kind = InPlaceStepLine if in_place else LeanStepLine
        return kind(optimizer, check=check, origin_device=device, spare=spare)

    def _may_be_lean(self, optimizer: Optimizer) -> bool:
        if self.settings.memory != "auto":
            return self.settings.memory == "lean"
        weights = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
        if any(p.dtype.itemsize < torch.float32.itemsize for p in weights):
            return False
        try:
            check_on_copy(optimizer)
        except UncopiableOptimizerError:
            return False
        return True

    def _noise(self, fit: Parabola) -> float:
        return self.settings.noise * abs(fit.here)

    def _is_sure(self, fit: Parabola) -> bool:
        return fit.is_finite and fit.is_resolved(self._noise(fit))

    def _update(self, phi: "_Evaluations", rate: float) -> float:
        """One parabola at radius `rate`, wider where its differences are lost in noise (Remark 3.1)."""
        rho = rate
        for _ in range(_WIDENINGS):
            fit = phi.fit(rho)
            if not fit.is_finite:
                phi.probe.reason = "loss not finite at the probed weights"
                return rate / (self.settings.max_change or 1.0)
            if fit.is_resolved(self._noise(fit)):
                break
            rho *= _STRIDE
        else:
            phi.probe.reason = "fit below the noise of the loss"
            return rate
        if not fit.is_bowl:
            phi.probe.reason = "retain loss does not fall along the step" if fit.slope <= 0 else "no curvature"
            return rate
        phi.probe.accepted = True
        phi.probe.reason = "minimum of the parabola"
        bound = self.settings.max_change or math.inf
        change = min(max(fit.minimum / rate, 1 / bound), bound)
        return rate * change ** (1.0 - self.settings.inertia)

    def _search(self, phi: "_Evaluations", start: float) -> float:
        """Move the radius until the rate that the parabola fitted there asks for is that radius.

        Strides are at most 16-fold; radii found too small and too large close in on each other.
        """
        rho, low, high = start, 0.0, math.inf
        for _ in range(_SEARCH_ROUNDS):
            fit = phi.fit(rho)
            if not fit.is_finite:
                target = 0.0
            elif not fit.curvature_is_resolved(self._noise(fit)):
                target = math.inf  # too near to see it bend
            elif fit.curvature <= 0:
                target = 0.0 if fit.ahead > fit.here else math.inf
            else:
                affordable = math.sqrt(2 * self.settings.tolerance * fit.here / fit.curvature)
                target = max(fit.minimum, affordable)
                if rho / _AGREEMENT <= target <= rho * _AGREEMENT:
                    phi.probe.accepted = True
                    phi.probe.reason = (
                        "minimum of the parabola" if target > affordable else "largest step within the tolerance"
                    )
                    return target
            if target > rho:
                low = max(low, rho)
            else:
                high = min(high, rho)
            target = min(max(target, rho / _STRIDE), rho * _STRIDE)
            if not low < target < high:
                if high < _AGREEMENT * low:
                    break
                target = math.sqrt(low * high)
            rho = target
        lowest = min((f for f in phi.probe.fits if f.is_finite), key=lambda f: f.ahead, default=None)
        if lowest is not None and lowest.ahead < lowest.here:
            phi.probe.accepted = True
            phi.probe.reason = "lowest retain loss of the search"
            return lowest.rho
        phi.probe.reason = "search ended without a minimum"
        return start


class _Evaluations:
    """Losses on the line beside `phi(0)`."""

    def __init__(self, line: StepLine, loss: RetainLoss, probe: Probe, here: float) -> None:
        self._line, self._loss, self.probe, self._here = line, loss, probe, here

    def fit(self, rho: float) -> Parabola:
        # Ahead first: where the weights of an `InPlaceStepLine` are.
        parabola = Parabola(rho, ahead=self._at(rho), here=self._here, behind=self._at(-rho))
        self.probe.fits.append(parabola)
        return parabola

    def _at(self, rho: float) -> float:
        self._line.move_to(rho)
        self.probe.forwards += 1
        return self._loss()
