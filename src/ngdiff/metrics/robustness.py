"""Robustness: how little attacks bring back beyond what they bring out of a model that never saw the rows.

With `x_i` how much of forget row i an attack gets out of the model, a fraction, and `r_i` the same of the reference,
what comes back by one form of the attack is `b = max(0, mean_i(x_i - r_i))`: what the attack itself teaches, and what
any model guesses, is in both. An attacker takes the form that works best, so of an attack counts the largest `b`;

    Robustness = harmonic mean over attacks of 1 - max over forms of b

1: no attack brings back more than it brings out of the reference. A maximum over noisy forms is above 0 by chance:
read how probable that is (`chance`). The field's form (OpenUnlearning, arXiv 2506.12618) takes ratios to the values
before the attack, by relearning and quantisation alone; a ratio of two values near 0 is noise.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ngdiff.errors import InputError
from ngdiff.metrics.gaffke import Seed, mean_interval
from ngdiff.metrics.levels import check_confidence
from ngdiff.metrics.means import harmonic_mean, mean

_ROUNDING = 1e-12


class Beyond(NamedTuple):
    """`value`: mean of `x_i - r_i`, in [-1, 1]; `interval`: None with fewer than two rows; `n`: rows that both have."""

    value: float
    interval: tuple[float, float] | None
    n: int


def beyond(
    own: Sequence[float], reference: Sequence[float], *, confidence: float = 0.95, seed: Seed = 0
) -> Beyond | None:
    """How much more comes out of the model than of the reference, row by row; None where no row is known of both.

    Args:
        own, reference: fractions of the same rows in the same order; NaN where a row has none.
        confidence: level of the interval (`ngdiff.metrics.mean_interval`), of this one alone.
        seed: of the draws.

    Raises:
        InputError: different numbers of rows, or a level out of range.

    >>> found = beyond([1.0, 1.0, 0.5, 0.5], [0.0, 0.0, 0.5, 0.5])
    >>> found.value, found.n
    (0.5, 4)
    """
    check_confidence(confidence)
    known = [x for x in differences(own, reference) if not math.isnan(x)]
    if not known:
        return None
    value = mean(known, "what comes back")
    if len(known) < 2:
        return Beyond(value, None, len(known))
    low, high = mean_interval([(1 + x) / 2 for x in known], confidence=confidence, seed=seed)
    return Beyond(value, (2 * low - 1, 2 * high - 1), len(known))


def differences(own: Sequence[float], reference: Sequence[float]) -> list[float]:
    """`x_i - r_i`; NaN where one is not known.

    Raises:
        InputError: different numbers of rows.
    """
    if len(own) != len(reference):
        raise InputError(f"the model was measured on {len(own)} rows and the reference on {len(reference)}")
    return [x - r for x, r in zip(own, reference, strict=True)]


def chance(forms: Sequence[Sequence[float]], *, draws: int = 10_000, seed: Seed = 0) -> float:
    """Probability that the largest mean of differences over all forms is as large as it is, or larger, if model and
    reference were alike: the p-value of a sign-flip test of the maximum, which pays for looking at many forms.

    If neither knows the rows, `x_i - r_i` is as often `r_i - x_i`. Forms over as many rows flip the same rows together.

    Args:
        forms: `differences` of each form; NaN counts nothing.
        draws: of signs.
        seed: of the draws.

    >>> round(chance([[0.5] * 10, [0.0] * 10]), 2), chance([[0.0, 0.0]])
    (0.0, 1.0)
    """
    rng = np.random.default_rng(seed)
    largest, signs = np.full(draws, -np.inf), {}
    observed = -np.inf
    for form in forms:
        values = np.asarray(form, dtype=float)
        if not (known := int((~np.isnan(values)).sum())):
            continue
        if len(values) not in signs:
            signs[len(values)] = rng.choice([-1.0, 1.0], size=(draws, len(values)))
        values = np.nan_to_num(values)
        observed = max(observed, values.sum() / known)
        largest = np.maximum(largest, signs[len(values)] @ values / known)
    return float((1 + (largest >= observed - _ROUNDING).sum()) / (draws + 1))


def robustness(come_back: Mapping[str, float]) -> float | None:
    """Harmonic mean of `1 - b` over attacks; None without an attack.

    Args:
        come_back: by attack its largest `b`, a fraction.

    >>> robustness({"quantise": 0.0, "relearn": 0.5})
    0.6666666666666666
    """
    return harmonic_mean((1 - value for value in come_back.values()), "robustness") if come_back else None
