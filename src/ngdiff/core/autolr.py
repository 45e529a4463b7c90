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
    LeanStepLine,
    UncopiableOptimizerError,
    check_on_copy,
)
from ngdiff.core.line import StepLine, learning_rate
from ngdiff.core.parabola import Parabola
from ngdiff.core.search import STRIDE, search_rate

RetainLoss = Callable[[], float]

# Reason of a probe without a direction.
NO_STEP = "step of length 0"

# The search starts where a step changes the weights by this part of their norm.
_RELATIVE_START = 1e-3
# Standard deviation assumed for weights that are all 0 and so have no norm: a usual one of random weights.
_ZERO_WEIGHTS = 0.02
# Representable in float32, with room for a multiplication.
_LARGEST_RATE = 1e30
# How often a probe whose differences are below the noise is repeated with a larger radius.
_WIDENINGS = 5


@dataclass(frozen=True, slots=True)
class AutoLRSettings:
    """How the learning rate is found.

    Args:
        interval: Steps from one probe to the next (Remark 3.2 of the paper: 10).
        search: Whether the first step searches along the line for the scale of the learning rate. Without, a start
            that is far too small never gets going under a bounded change.
        start: First radius of the search, or first learning rate where there is no search. None: the radius
            at which a step changes the weights by a thousandth of their norm. Neither a probe nor the rate found
            takes a step longer than the trained weights: `|rho d| <= |theta_0|`.
        max_change: A probe changes the learning rate by at most this factor; None for no bound.
        inertia: Weight of the last learning rate in the new one, in the logarithm: one probe is one small batch. GeN
            averages as well, with 0.9 (of the rates themselves). 0: the new rate is what the probe asks for.
        noise: Rounding noise of one loss, relative to it: 1e-6 in fp32, 3e-4 under bf16. A fit whose differences do
            not exceed it is not used (Remark 3.1).
        measure_noise: Whether the search measures the noise where `noise` may be too low (`ngdiff.core.search`).
        widen: Whether such a fit is repeated with a larger radius first.
        tolerance: The search never asks for less than the radius at which curvature alone raises the retain loss by
            this part. Not in the paper: a model that recites its retain rows is at the minimum of their loss, where the
            sign of the slope on fresh rows is a coin toss and `b / h` says "stay" at any scale (on three targets it
            found 1e-4, 7e-6 and 1e-7 where 2e-4 forgets).
        memory: `exact`: a probe leaves everything as it was. `lean`: it also takes the optimizer's step, at the rate
            that it finds, which saves a copy of the optimizer's state and one of the weights
            (`ngdiff.core.lean_line.LeanStepLine`). `auto`: lean, unless the weights are in half precision or the
            optimizer cannot be tried on a copy.
        origin_device: Where a lean probe keeps the weights that it started from; None: where they are.
    """

    interval: int = 10
    search: bool = True
    start: float | None = None
    max_change: float | None = 4.0
    inertia: float = 0.5
    noise: float = 1e-6
    measure_noise: bool = False
    widen: bool = True
    tolerance: float = 0.01
    memory: str = "exact"
    origin_device: str | None = None

    @classmethod
    def as_printed(cls, start: float, *, noise: float = 1e-6) -> "AutoLRSettings":
        """Algorithm 1 of the paper as printed: no search, no bound on the change, no average, one radius.

        One thing is ours: no step is longer than the weights. Which rows are probed is the caller's choice: the paper
        probes those that gave the gradient.
        """
        return cls(search=False, start=start, max_change=None, inertia=0.0, noise=noise, widen=False)


@dataclass(slots=True)
class Probe:
    """Measurements and result of one probe.

    Args:
        before: Learning rate before.
        after: Learning rate after.
        accepted: Whether a fit was used.
        reason: Why not, or what the rate is; a few words.
        fits: Every parabola, in the order taken: `rho`, the three losses.
        forwards: Losses evaluated.
        relative_step: `|d| / |theta_0|`: length of a step at learning rate 1 over that of the weights; 0 if unknown.
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
        may_rise: bool = True,
    ) -> Probe:
        """Fit the retain loss along the step that the optimizer would now take and set its learning rate.

        Args:
            optimizer: With final gradients in `.grad`, its step linear in the learning rate.
            loss: Retain loss at the current weights, the same rows at every call. Called once at `rho = 0` and twice
                for each fit.
            search: Look for the scale of the learning rate first, from `settings.start`.
            here: The loss at `rho = 0`, if it is known: that of the rows that gave the gradient.
            may_rise: Whether the learning rate may rise; a search may always raise it.

        Raises:
            NonlinearOptimizerError: the optimizer's step is not linear in the learning rate.
            FloatingPointError: the step has no finite length; the weights have not moved.
        """
        probe = Probe(before=learning_rate(optimizer))
        if not _weights_with_gradients(optimizer):
            probe.after, probe.reason = probe.before, NO_STEP
            return probe
        if here is None:  # before the line is open: its first step leads away from here
            here = loss()
            probe.forwards += 1
        with self._line(optimizer) as line:
            self._checked = True
            phi = _Evaluations(line, loss, probe, here)
            if line.step_norm == 0.0:
                probe.reason = NO_STEP
                rate = probe.before
            elif not math.isfinite(line.step_norm):
                raise FloatingPointError(
                    f"the step of {type(optimizer).__name__} has a length of {line.step_norm}; the weights have not "
                    "moved in this step. The gradients are too large for their precision"
                )
            else:
                weights = line.weight_norm()
                probe.relative_step = line.step_norm / weights if weights else 0.0
                limit = min((weights or _nominal_norm(optimizer)) / line.step_norm, _LARGEST_RATE)
                if search:
                    start = self.settings.start or _RELATIVE_START * limit
                    rate, probe.accepted, probe.reason = search_rate(
                        phi.fit,
                        start=start,
                        limit=limit,
                        noise=self.settings.noise,
                        tolerance=self.settings.tolerance,
                        measure_noise=self.settings.measure_noise,
                    )
                else:
                    rate = self._update(phi, probe.before, limit, may_rise=may_rise)
            line.settle(rate)
        probe.after = rate
        return probe

    def _line(self, optimizer: Optimizer) -> StepLine:
        """The line that the probe evaluates the loss on."""
        check = not self._checked
        if check:
            self._lean = self._may_be_lean(optimizer)
        if not self._lean:
            return StepLine(optimizer, check=check)
        check &= self.settings.memory != "auto"  # `_may_be_lean` has checked
        return LeanStepLine(optimizer, check=check, origin_device=self.settings.origin_device)

    def _may_be_lean(self, optimizer: Optimizer) -> bool:
        if self.settings.memory != "auto":
            return self.settings.memory == "lean"
        weights = _weights_with_gradients(optimizer)
        if any(p.dtype.itemsize < torch.float32.itemsize for p in weights):
            return False
        try:
            check_on_copy(optimizer)
        except UncopiableOptimizerError:
            return False
        return True

    def _noise(self, fit: Parabola) -> float:
        return self.settings.noise * abs(fit.here)

    def _update(self, phi: "_Evaluations", rate: float, limit: float, *, may_rise: bool) -> float:
        """The rate by one parabola at radius `rate`; if it is lost in noise (Remark 3.1), by a larger one or none."""
        rate = rate or _RELATIVE_START * limit
        rho = min(rate, limit)
        for _ in range(_WIDENINGS if self.settings.widen else 1):
            fit = phi.fit(rho)
            if not fit.is_finite:
                phi.probe.reason = "loss not finite at the probed weights"
                return min(rate / (self.settings.max_change or 1.0), limit)
            if fit.is_resolved(self._noise(fit)):
                break
            if rho >= limit:
                phi.probe.reason = "fit below the noise of the loss"
                return min(rate, limit)
            rho = min(rho * STRIDE, limit)
        else:
            phi.probe.reason = "fit below the noise of the loss"
            return min(rate, limit)
        if not fit.is_bowl:
            phi.probe.reason = "retain loss does not fall along the step" if fit.fall <= 0 else "no curvature"
            return min(rate, limit)
        phi.probe.accepted = True
        phi.probe.reason = "minimum of the parabola"
        bound = self.settings.max_change or math.inf
        change = min(max(fit.minimum / rate, 1 / bound), bound if may_rise else 1.0)
        return min(rate * change ** (1.0 - self.settings.inertia), limit)


class _Evaluations:
    """Losses on the line, `phi(rho)`; `phi(0)` is known."""

    def __init__(self, line: StepLine, loss: RetainLoss, probe: Probe, here: float) -> None:
        self._line, self._loss, self.probe, self._here = line, loss, probe, here

    def fit(self, rho: float) -> Parabola:
        parabola = Parabola(rho, ahead=self._at(rho), here=self._here, behind=self._at(-rho))
        self.probe.fits.append(parabola)
        return parabola

    def _at(self, rho: float) -> float:
        self._line.move_to(rho)
        self.probe.forwards += 1
        return self._loss()


def _weights_with_gradients(optimizer: Optimizer) -> list[Tensor]:
    return [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]


def _nominal_norm(optimizer: Optimizer) -> float:
    """The norm assumed for weights that are all 0."""
    return _ZERO_WEIGHTS * math.sqrt(sum(p.numel() for p in _weights_with_gradients(optimizer)))
