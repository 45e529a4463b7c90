"""Robustness: how little attacks recover beyond what they recover from a model that never saw the rows.

Let `x_i` be the fraction of forget row i that an attack recovers from the model, and `r_i` the fraction that it
recovers from the reference. One form of an attack recovers `b = max(0, mean_i(x_i - r_i))`: what the attack itself
teaches, and what any model guesses, cancels. An attacker uses the form that works best, so the largest `b` counts:

    Robustness = harmonic mean over attacks of 1 - max over forms of b

1: no attack recovers more than from the reference. A maximum over noisy forms exceeds 0 by chance; `chance` gives the
probability. The common definition (OpenUnlearning, arXiv 2506.12618) uses ratios to the values before the attack, for
relearning and quantisation only; a ratio of two values near 0 is noise.
"""

import math
from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np

from ngdiff.errors import InputError
from ngdiff.metrics.draws import Seed
from ngdiff.metrics.gaffke import mean_interval
from ngdiff.metrics.levels import check_confidence
from ngdiff.metrics.means import harmonic_mean, mean
from ngdiff.plurals import number_of

_ROUNDING = 1e-12


class Beyond(NamedTuple):
    """`value`: mean of `x_i - r_i`, in [-1, 1]; `interval`: None with fewer than two rows; `n`: rows with both."""

    value: float
    interval: tuple[float, float] | None
    n: int


def beyond(
    own: Sequence[float], reference: Sequence[float], *, confidence: float = 0.95, seed: Seed = 0
) -> Beyond | None:
    """How much more an attack recovers from the model than from the reference; None if no row has both values.

    Args:
        own, reference: Fractions of the same rows in the same order; NaN if a row has none.
        confidence: Level of this one interval (`ngdiff.metrics.mean_interval`), without a correction for several.
        seed: Of the draws.

    Raises:
        InputError: different numbers of rows, or a confidence level out of range.

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
    """`x_i - r_i`; NaN if one of them is unknown.

    Raises:
        InputError: different numbers of rows.
    """
    if len(own) != len(reference):
        raise InputError(
            f"the model was measured on {number_of(len(own), 'row')} and the reference on {len(reference)}"
        )
    return [x - r for x, r in zip(own, reference, strict=True)]


def chance(forms: Sequence[Sequence[float]], *, draws: int = 10_000, seed: Seed = 0) -> float:
    """p-value of the largest mean difference over all forms, under the hypothesis that model and reference are alike:
    a sign-flip test of the maximum, which corrects for the number of forms.

    Under the hypothesis, `x_i - r_i` and `r_i - x_i` are equally probable. Forms with the same number of rows share
    their signs.

    Args:
        forms: `differences` of each form; NaN is ignored.
        draws: Number of random sign vectors.
        seed: Of the draws.

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
    """Harmonic mean of `1 - b` over attacks; None without any attack.

    Args:
        come_back: By attack, its largest `b`, a fraction.

    >>> robustness({"quantise": 0.0, "relearn": 0.5})
    0.6666666666666666
    """
    return harmonic_mean((1 - value for value in come_back.values()), "robustness") if come_back else None
