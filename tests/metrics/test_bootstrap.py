"""Bootstrap-t intervals of losses: against a loop, and by simulation."""

import math

import numpy as np
import pytest
from scipy import stats

from ngdiff.errors import InputError
from ngdiff.metrics import ratio_interval


def standard_error(sums: np.ndarray, counts: np.ndarray) -> float:
    n, ratio = len(sums), sums.sum() / counts.sum()
    squares = sum((s - ratio * c) ** 2 for s, c in zip(sums, counts, strict=True))
    return math.sqrt(n / (n - 1) * squares) / float(counts.sum())


def test_it_is_that_of_resampling_one_by_one() -> None:
    rng = np.random.default_rng(0)
    counts = rng.integers(1, 9, 12).astype(float)
    sums = rng.exponential(5.0, 12) * counts
    ratio, error = sums.sum() / counts.sum(), standard_error(sums, counts)
    found = []
    for drawn in np.random.default_rng(3).multinomial(12, [1 / 12] * 12, size=200):
        rows = [i for i, times in enumerate(drawn) for _ in range(times)]
        own = sums[rows].sum() / counts[rows].sum()
        found.append((own - ratio) / standard_error(sums[rows], counts[rows]))
    found.sort()
    # positions of the quantiles .05 and .95 among 200, outwards: 9.95 -> 9, 189.05 -> 190
    expected = (ratio - found[190] * error, ratio - found[9] * error)
    result = ratio_interval(sums.tolist(), counts.tolist(), confidence=0.9, seed=3, resamples=200)
    assert result == pytest.approx(expected, rel=1e-9)


def test_the_standard_error_is_that_of_a_mean_where_all_counts_are_one() -> None:
    values = np.random.default_rng(1).exponential(size=30)
    assert standard_error(values, np.ones(30)) == pytest.approx(stats.sem(values))


# name -> (draw, mean, least coverage at n = 20 and 40): no interval of an unbounded mean always holds.
LOSSES = {
    "normal": (lambda rng, n: rng.normal(3, 0.5, n), 3.0, 0.92),
    "exponential": (lambda rng, n: rng.exponential(1, n), 1.0, 0.92),
    "half recited": (
        lambda rng, n: np.where(rng.random(n) < 0.5, rng.exponential(0.02, n), rng.gamma(9, 1 / 3, n)),
        1.51,
        0.92,
    ),
    "long tail": (lambda rng, n: rng.lognormal(0, 1, n), math.exp(0.5), 0.86),
}


@pytest.mark.parametrize("n", [20, 40])
@pytest.mark.parametrize("name", LOSSES)
def test_coverage(name: str, n: int) -> None:
    draw, true, least = LOSSES[name]
    rng = np.random.default_rng([n, len(name)])
    held, runs = 0, 1000
    for run in range(runs):
        counts = rng.integers(5, 61, n)
        ends = ratio_interval((draw(rng, n) * counts).tolist(), counts.tolist(), seed=run, resamples=300)
        assert ends is not None
        held += ends[0] <= true <= ends[1]
    assert least <= held / runs < 1


def test_scale_changes_nothing_and_huge_losses_do_not_overflow() -> None:
    rng = np.random.default_rng(5)
    counts = rng.integers(1, 9, 20).tolist()
    sums = rng.exponential(5.0, 20)
    low, high = ratio_interval(sums.tolist(), counts) or (0, 0)
    assert ratio_interval((sums * 2.0**900).tolist(), counts) == pytest.approx((low * 2.0**900, high * 2.0**900))


def test_it_does_not_reach_below_zero() -> None:
    sums = [0.001] * 7 + [9.0, 8.0, 6.0, 3.0, 1.0]
    low, high = ratio_interval(sums, [1] * 12) or (-1, -1)
    assert 0 <= low < sum(sums) / 12 < high


def test_values_without_spread_have_no_interval() -> None:
    """A point would say that nothing could be otherwise."""
    assert ratio_interval([0.3] * 7, [1] * 7) is None
    assert ratio_interval([0.0] * 7, [3] * 7) is None
    assert ratio_interval([0.1 * c for c in range(1, 9)], list(range(1, 9))) is None  # every row's loss is 0.1
    assert ratio_interval([0.3] * 9 + [2.0], [1] * 10) is None  # a third of the resamples lack the one that differs


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    sums, counts = np.random.default_rng(4).exponential(size=30).tolist(), [1] * 30
    whole = ratio_interval(sums, counts, resamples=100)
    monkeypatch.setattr("ngdiff.metrics.draws._BLOCK", 7 * 30)
    assert ratio_interval(sums, counts, resamples=100) == pytest.approx(whole, rel=1e-9)


def test_what_is_refused() -> None:
    with pytest.raises(InputError, match="a confidence interval needs at least 2 examples, found 1"):
        ratio_interval([0.5], [1])
    with pytest.raises(InputError, match="confidence is 95; a level lies between 0 and 1"):
        ratio_interval([0.5, 1.0], [1, 1], confidence=95)
