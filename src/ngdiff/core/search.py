"""The search for the scale of the learning rate along one step, which is never longer than the weights."""

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from ngdiff.core.parabola import Parabola

# A search, or a probe whose differences are below the noise, multiplies or divides its radius by at most this.
STRIDE = 16.0
# The search has arrived when the parabola's minimum lies within this factor of the radius it was fitted at.
_AGREEMENT = 1.5
# 16^12 spans 14 orders of magnitude: more than lie between the noise of the loss and its explosion.
_ROUNDS = 12
# The smallest start of a search, as a part of the longest step: below it float32 weights do not move.
_NEAREST = 1e-6


class SearchResult(NamedTuple):
    """Result of a search.

    Args:
        rate: Above 0, and at most the limit.
        accepted: Whether a fit supports it.
        reason: A few words.
    """

    rate: float
    accepted: bool
    reason: str


def search_rate(
    fit_at: Callable[[float], Parabola],
    *,
    start: float,
    limit: float,
    noise: float,
    tolerance: float,
    measure_noise: bool = False,
) -> SearchResult:
    """Move the radius until the rate that the parabola fitted there asks for is that radius.

    Strides are at most 16-fold; radii found too small and too large bracket the next one. If no radius agrees with its
    own parabola, the result is the radius with the lowest loss, if that drop stands out from the noise; else the
    start, or the longest shorter radius at which the loss stays within the tolerance.

    Args:
        fit_at: The parabola at a radius.
        start: Where to begin, above 0; brought within the limit.
        limit: The largest radius: that of a step as long as the weights. Above 0 and finite. Without it the search
            might never end: near the loss of guessing, the loss may fall, or stay flat, at any distance.
        noise: Rounding noise of one loss, relative to it.
        tolerance: Part of the loss by which curvature alone may raise it.
        measure_noise: Whether `noise` may be too low. Then it is at least by how much the loss differs where the
            weights hardly do, at a millionth of the limit: in half precision that depends on the rows, as a mean of
            few uncertain tokens keeps more of their rounding.
    """
    start = min(max(start, limit * _NEAREST), limit)
    if measure_noise:
        noise = max(noise, _spread(fit_at(limit * _NEAREST)))
    fits: list[Parabola] = []
    rho, low, high = start, 0.0, math.inf
    asked: SearchResult | None = None  # by the last fit that could tell
    for _ in range(_ROUNDS):
        fit = fit_at(rho)
        fits.append(fit)
        if not math.isfinite(fit.here):
            return SearchResult(start, False, f"the retain loss is {fit.here} before the step")
        height = abs(fit.here)
        if not fit.is_finite:
            target = 0.0
        elif not fit.curvature_is_resolved(noise * height):
            target = math.inf  # too near to see it bend
        elif fit.bend <= 0:
            target = 0.0 if fit.ahead > fit.here else math.inf
        else:
            affordable = rho * math.sqrt(2 * tolerance * (height / fit.bend))
            target = max(fit.minimum, affordable)
            reason = "minimum of the parabola" if target > affordable else "largest step within the tolerance"
            asked = SearchResult(min(target, limit), True, reason)
            if rho / _AGREEMENT <= target <= rho * _AGREEMENT:
                return asked
        if target > rho:
            if rho >= limit:
                break
            low = max(low, rho)
        else:
            high = min(high, rho)
        target = min(max(target, rho / STRIDE), rho * STRIDE, limit)
        if not low < target < high:
            if high < _AGREEMENT * low:
                if measure_noise and asked is not None:  # nearer, the noise hides what this fit shows
                    return asked
                break
            target = math.sqrt(low) * math.sqrt(high)
        rho = target
    return _fallback(fits, start, limit, noise=noise, tolerance=tolerance)


def _spread(fit: Parabola) -> float:
    """The larger difference of two losses of a fit, relative to the loss; 0 where that cannot be told."""
    if not fit.is_finite or not fit.here:
        return 0.0
    return max(abs(fit.behind - fit.here), abs(fit.ahead - fit.here)) / abs(fit.here)


def _fallback(fits: Sequence[Parabola], start: float, limit: float, *, noise: float, tolerance: float) -> SearchResult:
    lowest = min((f for f in fits if f.is_finite), key=lambda f: f.ahead, default=None)
    if lowest is not None and lowest.here - lowest.ahead > 2 * noise * abs(lowest.here):
        if lowest.rho == limit:
            return SearchResult(limit, False, "the retain loss falls as far as a step as long as the weights")
        return SearchResult(lowest.rho, True, "lowest retain loss of the search")
    within = [f.rho for f in fits if f.is_finite and f.ahead - f.here <= tolerance * abs(f.here) and f.rho <= start]
    nearest = min(f.rho for f in fits)
    return SearchResult(max(within, default=nearest), False, "search ended without a minimum")
