"""Intervals of fractions: against Clopper and Pearson, against a loop, and by simulation."""

from collections.abc import Callable

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.stats import binomtest

from ngdiff.errors import InputError
from ngdiff.metrics import mean_interval
from ngdiff.metrics.gaffke import Ends, mean_ends

Draw = Callable[[np.random.Generator, float, tuple[int, int]], np.ndarray]


def ends_and_middle(rng: np.random.Generator, mean: float, size: tuple[int, int]) -> np.ndarray:
    at, middle = rng.random(size), rng.beta(4 * mean, 4 * (1 - mean), size)
    return np.where(at < 0.8 * mean, 1.0, np.where(at < 0.8, 0.0, middle))


DRAWS: dict[str, Draw] = {
    "binary": lambda rng, mean, size: (rng.random(size) < mean).astype(float),
    "U-shaped": lambda rng, mean, size: rng.beta(0.5 * mean, 0.5 * (1 - mean), size),
    "one hump": lambda rng, mean, size: rng.beta(10 * mean, 10 * (1 - mean), size),
    "words": lambda rng, mean, size: rng.binomial(8, rng.beta(2 * mean, 2 * (1 - mean), size)) / 8,
    "mixture": ends_and_middle,
}
MEANS = (0.01, 0.05, 0.2, 0.5, 0.8, 0.95, 0.99)


def coverage(draw: Draw, mean: float, n: int, runs: int) -> float:
    values = draw(np.random.default_rng([n, round(1000 * mean)]), mean, (n, runs))
    low, high = mean_ends(values, seed=n, draws=1000)  # one sample a column
    below, above = np.quantile(low, 0.025, axis=0), np.quantile(high, 0.975, axis=0)
    return float(np.mean((below <= mean + 1e-12) & (mean - 1e-12 <= above)))


@pytest.mark.parametrize("name", DRAWS)
@pytest.mark.parametrize("n", [10, 20, 40])
def test_coverage(name: str, n: int) -> None:
    """95 % intervals of n fractions hold the mean in at least 93 % of 600 samples, wherever it lies."""
    found = {mean: coverage(DRAWS[name], mean, n, 600) for mean in MEANS}
    assert min(found.values()) >= 0.93, found


@pytest.mark.slow
@pytest.mark.parametrize("name", DRAWS)
@pytest.mark.parametrize("n", [10, 15, 20, 40, 100, 200, 400])
def test_coverage_at_length(name: str, n: int) -> None:
    found = {mean: coverage(DRAWS[name], mean, n, 4000) for mean in (*MEANS, 0.02, 0.1, 0.3, 0.9, 0.98)}
    assert min(found.values()) >= 0.935, found


@pytest.mark.parametrize(("n", "right"), [(10, 0), (10, 10), (20, 19), (40, 7), (5, 5)])
def test_of_zeros_and_ones_it_is_that_of_clopper_and_pearson(n: int, right: int) -> None:
    found = mean_interval([1.0] * right + [0.0] * (n - right), draws=40_000)
    exact = binomtest(right, n).proportion_ci(method="exact")
    assert found == pytest.approx((exact.low, exact.high), abs=0.005)


def test_a_certain_looking_mean_is_not_certain() -> None:
    """Twenty rows of 20 recited: the true rate may well be 0.84."""
    low, high = mean_interval([1.0] * 20)
    assert low < 0.84
    assert high == 1.0
    low, high = mean_interval([0.0] * 20)
    assert (low, high > 0.16) == (0.0, True)


def test_draws_are_weighted_means_with_a_value_not_seen() -> None:
    values = np.random.default_rng(0).random((7, 3))
    low, high = mean_ends(values, seed=5, draws=40)
    drawn = np.random.default_rng(5).standard_exponential((40, 8))
    for own_low, own_high, row in zip(low, high, drawn, strict=True):
        weights = row / row.sum()
        for column in range(3):
            assert own_low[column] == pytest.approx(weights @ [*values[:, column], 0.0], abs=1e-12)
            assert own_high[column] == pytest.approx(weights @ [*values[:, column], 1.0], abs=1e-12)


@given(st.lists(st.floats(0, 1), min_size=2, max_size=30), st.sampled_from([0.5, 0.9, 0.95, 0.99]))
def test_it_holds_the_mean_mirrors_and_grows_with_the_level(values: list[float], confidence: float) -> None:
    low, high = mean_interval(values, confidence=confidence, draws=500)
    assert 0 <= low < high <= 1
    assert low <= np.mean(values) + 1e-12
    assert np.mean(values) - 1e-12 <= high
    mirrored = mean_interval([1 - value for value in values], confidence=confidence, draws=500)
    assert mirrored == pytest.approx((1 - high, 1 - low), abs=1e-12)
    wide_low, wide_high = mean_interval(values, confidence=0.999, draws=500)
    assert wide_low <= low
    assert high <= wide_high


def test_blocks_change_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    values = np.random.default_rng(4).random((30, 2))
    whole = mean_ends(values, seed=0, draws=100)
    monkeypatch.setattr("ngdiff.metrics.draws._BLOCK", 7 * 31)
    for part, expected in zip(mean_ends(values, seed=0, draws=100), whole, strict=True):
        assert part == pytest.approx(expected, rel=1e-12)


def test_the_same_seed_gives_the_same_interval_and_another_one_another() -> None:
    values = list(np.random.default_rng(3).random(30))
    assert mean_interval(values, seed=1) == mean_interval(values, seed=1)
    assert mean_interval(values, seed=1) != mean_interval(values, seed=2)


def test_what_rounding_put_outside_counts_as_the_end() -> None:
    low, high = mean_ends(np.asarray([[1.0 + 1e-9]] * 4), seed=0)
    assert high.max() <= 1.0
    assert low.max() < 1.0


def test_what_is_refused() -> None:
    with pytest.raises(InputError, match="a confidence interval needs at least 2 examples, found 1"):
        mean_interval([0.5])
    with pytest.raises(InputError, match=r"value 1 is 2\.5; this interval is for fractions, between 0 and 1"):
        mean_interval([0.5, 2.5])
    with pytest.raises(InputError, match=r"value 0 is nan"):
        mean_interval([float("nan"), 0.5])
    with pytest.raises(InputError, match="confidence is 95; a level lies between 0 and 1"):
        Ends(np.arange(3.0), np.arange(3.0)).interval(95)
