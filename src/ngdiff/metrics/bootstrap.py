"""Confidence intervals of means by resampling the examples.

n examples of m metrics, B resamples.
"""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ngdiff.errors import InputError
from ngdiff.metrics.auc import check_confidence

RESAMPLES = 2000
_BLOCK = 2_000_000  # draws held in memory at a time


def resampled(
    sums_nm: NDArray[np.float64],
    counts_nm: NDArray[np.float64],
    *,
    seed: int | Sequence[int],
    resamples: int = RESAMPLES,
) -> NDArray[np.float64]:
    """Bootstrap distribution of `sum(sums) / sum(counts)` of each column; shape (B, m).

    Each resample draws n of the n examples with replacement, the same ones for all columns, so that metrics of one
    set stay paired. How often each example was drawn is one multinomial draw, and all columns are one product of
    matrices.

    Args:
        sums_nm, counts_nm: per example and metric its sum and its number of units (1 for a plain mean).
        seed: of `numpy.random.default_rng`.
        resamples: B.
    """
    n, m = sums_nm.shape
    rng = np.random.default_rng(seed)
    found = np.empty((resamples, m))
    step = max(1, _BLOCK // n)
    for start in range(0, resamples, step):
        size = min(step, resamples - start)
        drawn = rng.multinomial(n, np.full(n, 1 / n), size=size).astype(float)
        found[start : start + size] = (drawn @ sums_nm) / (drawn @ counts_nm)
    return found


def percentile_interval(distribution: NDArray[np.float64], *, confidence: float = 0.95) -> tuple[float, float]:
    """Quantiles `(1 - c) / 2` and `(1 + c) / 2` of a bootstrap distribution: the percentile interval.

    Source: Efron and Tibshirani 1993, "An Introduction to the Bootstrap", Section 13.3. With few examples it is
    too short; it says nothing about one example, where it would be a point.

    Raises:
        InputError: a level out of range.

    >>> percentile_interval(np.arange(101.0), confidence=0.5)
    (25.0, 75.0)
    """
    check_confidence(confidence)
    low, high = np.quantile(distribution, [(1 - confidence) / 2, (1 + confidence) / 2])
    return float(low), float(high)


def mean_interval(
    values: Sequence[float], *, confidence: float = 0.95, seed: int = 0, resamples: int = RESAMPLES
) -> tuple[float, float]:
    """Percentile interval of the mean of `values`.

    Raises:
        InputError: fewer than two values, or a level out of range.

    >>> low, high = mean_interval([0.0, 1.0] * 50)
    >>> 0.39 < low < 0.42 and 0.58 < high < 0.61
    True
    """
    if len(values) < 2:
        raise InputError(f"a confidence interval needs at least 2 examples, found {len(values)}")
    column = np.asarray(values, dtype=float)[:, None]
    distribution = resampled(column, np.ones_like(column), seed=seed, resamples=resamples)
    return percentile_interval(distribution, confidence=confidence)
