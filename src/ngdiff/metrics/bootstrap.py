"""Bootstrap confidence interval of a mean without an upper bound, such as a loss in nats."""

from collections.abc import Sequence

import numpy as np

from ngdiff.errors import InputError
from ngdiff.metrics.draws import Array, blocks
from ngdiff.metrics.levels import check_confidence

RESAMPLES = 2000


def ratio_interval(
    sums: Sequence[float],
    counts: Sequence[float],
    *,
    confidence: float = 0.95,
    seed: int | Sequence[int] = 0,
    resamples: int = RESAMPLES,
) -> tuple[float, float] | None:
    """Bootstrap-t interval of `r = sum(sums) / sum(counts)` for non-negative sums; None if there is none.

    With residuals `e_i = s_i - r c_i` the standard error of r is `se = sqrt(n / (n - 1) sum e_i^2) / sum c_i`. Each
    resample of the examples has its own ratio r* and standard error se*. The quantiles `q` of `(r* - r) / se*` give the
    interval `[r - q_high se, r - q_low se]`, cut off at 0. Sources: Efron and Tibshirani 1993, "An Introduction to the
    Bootstrap", Section 12.5; Cochran 1977, "Sampling Techniques", Section 2.11 (standard error of a ratio).

    Unlike the t interval, this one follows the skew of the values. No interval of an unbounded mean has guaranteed
    coverage (Bahadur and Savage 1956); `docs/evaluation.md` reports the measured coverage. There is no interval if all
    examples have the same value, or if so few differ that many resamples miss them: the spread is then unknown.

    Args:
        sums, counts: For each example, the sum over its units and their number.
        seed: Of `numpy.random.default_rng`.

    Raises:
        InputError: fewer than two examples, or a confidence level out of range.

    >>> low, high = ratio_interval([1.0, 2.0, 4.0, 3.0] * 10, [1] * 40)
    >>> 2.0 < low < 2.2 and 2.8 < high < 3.0
    True
    >>> ratio_interval([2.0] * 10, [1] * 10) is None
    True
    """
    check_confidence(confidence)
    if len(sums) < 2:
        raise InputError(f"a confidence interval needs at least 2 examples, found {len(sums)}")
    scale = max(map(abs, sums)) or 1.0  # squares of huge sums would overflow
    own, units = np.asarray(sums, dtype=float) / scale, np.asarray(counts, dtype=float)
    ratio = float(own.sum() / units.sum())
    n = own.size
    residuals = own - ratio * units
    columns = np.stack([residuals, units, residuals**2, residuals * units, units**2], axis=1)
    error = float(_distance_and_error(columns.sum(axis=0)[None], n)[1][0])
    # Below this, the residuals are rounding errors.
    if error <= 1e-12 * ratio:
        return None
    rng = np.random.default_rng(seed)
    found = np.empty(resamples)
    for part in blocks(resamples, n):
        totals = rng.multinomial(n, np.full(n, 1 / n), size=part.stop - part.start).astype(float) @ columns
        distance, spread = _distance_and_error(totals, n)
        spread[spread <= 1e-12 * ratio] = 0.0
        with np.errstate(divide="ignore", invalid="ignore"):
            found[part] = np.where(distance == 0, 0.0, distance / spread)
    # No interpolation: some of the values may be infinite.
    q_low = float(np.quantile(found, (1 - confidence) / 2, method="lower"))
    q_high = float(np.quantile(found, (1 + confidence) / 2, method="higher"))
    low, high = ratio - q_high * error, ratio - q_low * error
    if not np.isfinite([low, high]).all():
        return None
    return scale * max(low, min(0.0, ratio)), scale * high


def _distance_and_error(totals: Array, n: int) -> tuple[Array, Array]:
    """`r* - r` and the standard error of r* for each resample.

    Args:
        totals: One row for each resample: the sums of e, c, e^2, e c and c^2 over the n examples, with residuals e.
    """
    e, c, ee, ec, cc = totals.T
    distance = e / c
    squares: Array = np.maximum(ee - 2 * distance * ec + distance**2 * cc, 0.0)
    return distance, np.sqrt(n / (n - 1) * squares) / c
