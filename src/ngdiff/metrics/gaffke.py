"""Confidence intervals of means of fractions that keep their coverage with few examples, and near 0 and 1.

Shapes: n examples, m metrics, B draws.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from ngdiff.errors import InputError
from ngdiff.metrics.draws import DRAWS, Array, Seed, blocks, dirichlet
from ngdiff.metrics.levels import check_confidence


class Ends(NamedTuple):
    """Draws of a mean with one additional, unobserved value: 0 in `low`, 1 in `high`."""

    low: Array
    high: Array

    def interval(self, confidence: float) -> tuple[float, float]:
        """Quantile `(1 - c) / 2` of the low and `(1 + c) / 2` of the high draws.

        Raises:
            InputError: a confidence level out of range.
        """
        check_confidence(confidence)
        return float(np.quantile(self.low, (1 - confidence) / 2)), float(np.quantile(self.high, (1 + confidence) / 2))


def mean_ends(values_nm: Array, *, seed: Seed, draws: int = DRAWS) -> tuple[Array, Array]:
    """Low and high draws of the mean of each column, shape (B, m) each; all columns use the same weights.

    With `w` uniform over the n + 1 weights that sum to 1: `low = sum_i w_i x_i`, `high = low + w_(n+1)`. That is the
    Bayesian bootstrap (Rubin 1981) with one additional value, the lowest or highest possible. Its quantiles are the
    interval of Gaffke 2005 ("Three test statistics for a nonparametric one-sided hypothesis on the mean of a
    nonnegative variable"), in the form of Learned-Miller and Thomas 2020 (arXiv 1905.06208). For values that are all 0
    or 1 it is the Clopper-Pearson interval. Its coverage is a conjecture that simulation supports
    (`docs/evaluation.md`).

    Args:
        values_nm: Fractions; values that rounding has moved outside [0, 1] are clipped.
        seed: Of `numpy.random.default_rng`.
        draws: B.
    """
    n, m = values_nm.shape
    values = np.clip(values_nm, 0.0, 1.0)
    rng = np.random.default_rng(seed)
    low, high = np.empty((draws, m)), np.empty((draws, m))
    for part in blocks(draws, n + 1):
        weights = dirichlet(n + 1, part.stop - part.start, rng)
        low[part] = weights[:, :n] @ values
        high[part] = low[part] + weights[:, n:]
    # Sums of weights are rounded.
    return np.clip(low, 0.0, 1.0, out=low), np.clip(high, 0.0, 1.0, out=high)


def mean_interval(
    values: Sequence[float], *, confidence: float = 0.95, seed: Seed = 0, draws: int = DRAWS
) -> tuple[float, float]:
    """Interval of the mean of fractions in [0, 1] (`mean_ends`).

    Raises:
        InputError: fewer than two values, a value outside [0, 1], or a confidence level out of range.

    >>> low, high = mean_interval([1.0] * 20)
    >>> 0.82 < low < 0.84, high  # Clopper and Pearson: 0.025 ** (1 / 20) = 0.8316
    (True, 1.0)
    """
    if len(values) < 2:
        raise InputError(f"a confidence interval needs at least 2 examples, found {len(values)}")
    for index, value in enumerate(values):
        if not 0 <= value <= 1:
            raise InputError(f"value {index} is {value}; this interval is for fractions, between 0 and 1")
    low, high = mean_ends(np.asarray(values, dtype=float)[:, None], seed=seed, draws=draws)
    return Ends(low[:, 0], high[:, 0]).interval(confidence)
