"""AUC against counting every pair, its interval against a fine grid and against simulation."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtri
from scipy.stats import mannwhitneyu

from ngdiff.errors import InputError
from ngdiff.metrics import auc, auc_interval
from ngdiff.metrics.auc import auc_variance

# few values, so that ties are common
VALUES = st.lists(st.sampled_from([-math.inf, -1.0, 0.0, 0.5, 2.0, math.inf]), min_size=1, max_size=12)


@given(VALUES, VALUES)
def test_equals_counting_every_pair(members: list[float], others: list[float]) -> None:
    wins = sum(1.0 if m < o else 0.5 if m == o else 0.0 for m in members for o in others)
    assert auc(members, others) == wins / (len(members) * len(others))
    assert auc(members, others) + auc(others, members) == pytest.approx(1, abs=1e-15)
    assert auc(members, members) == 0.5


def test_equals_the_mann_whitney_statistic() -> None:
    rng = np.random.default_rng(0)
    members, others = rng.integers(0, 20, 80), rng.integers(3, 25, 70)
    statistic = mannwhitneyu(others, members).statistic
    assert auc(members, others) == pytest.approx(statistic / (80 * 70), abs=1e-15)  # type: ignore[arg-type]


def test_the_order_and_the_inputs_stay() -> None:
    others = [3.0, 1.0, 2.0]
    assert auc([2.0], others) == 0.5
    assert others == [3.0, 1.0, 2.0]


def test_what_has_no_auc() -> None:
    with pytest.raises(InputError, match="an AUC needs values of both sides, found no others"):
        auc([1.0], [])
    with pytest.raises(InputError, match="found no members"):
        auc([], [1.0])
    with pytest.raises(InputError, match="value 1 of the members is NaN"):
        auc([1.0, math.nan], [1.0])


@pytest.mark.parametrize(("m", "n"), [(1, 1), (5, 40), (100, 100)])
@pytest.mark.parametrize("area", [0.0, 0.0009, 0.3, 0.5, 0.97, 1.0])
def test_the_interval_is_what_a_grid_of_true_values_would_not_reject(m: int, n: int, area: float) -> None:
    grid = np.linspace(0, 1, 200001)[1:-1]  # the ends have no variance
    z = ndtri(0.95)
    kept = grid[(area - grid) ** 2 <= z**2 * np.array([auc_variance(a, m, n) for a in grid])]
    low, high = auc_interval(area, m, n, confidence=0.9)
    assert low == pytest.approx(kept.min(), abs=2e-5)
    assert high == pytest.approx(kept.max(), abs=2e-5)


@given(st.floats(0, 1), st.integers(1, 500), st.integers(1, 500), st.floats(0.5, 0.99))
def test_the_interval_holds_the_estimate_grows_with_the_level_and_mirrors(
    area: float, m: int, n: int, confidence: float
) -> None:
    low, high = auc_interval(area, m, n, confidence=confidence)
    assert 0 <= low <= area <= high <= 1
    assert low < high
    wide_low, wide_high = auc_interval(area, m, n, confidence=0.995)
    assert wide_low <= low
    assert wide_high >= high
    assert auc_interval(1 - area, n, m, confidence=confidence) == pytest.approx((1 - high, 1 - low), abs=1e-9)


@pytest.mark.parametrize("spread", [1.0, 2.0])
@pytest.mark.parametrize("true", [0.5, 0.8, 0.97])
def test_coverage(true: float, spread: float) -> None:
    """Normal scores of known AUC: 95 % intervals hold it in at least 92 % of 1000 samples."""
    rng = np.random.default_rng(1)
    m, n, runs = 30, 40, 1000
    shift = ndtri(true) * math.sqrt(1 + spread**2)
    members = rng.normal(0, 1, (runs, m))
    others = rng.normal(shift, spread, (runs, n))
    held = 0
    for first, second in zip(members, others, strict=True):
        low, high = auc_interval(auc(first, second), m, n)  # type: ignore[arg-type]
        held += low <= true <= high
    assert held / runs >= 0.92
    assert held < runs  # a trivial interval would hold it always


@pytest.mark.parametrize("confidence", [0.0, 1.0, -1.0, 95.0, math.nan])
def test_levels_that_are_none(confidence: float) -> None:
    with pytest.raises(InputError, match=r"a level lies between 0 and 1, such as 0\.95"):
        auc_interval(0.5, 3, 3, confidence=confidence)


def test_an_area_that_is_none() -> None:
    with pytest.raises(InputError, match=r"an AUC lies in \[0, 1\], found 1\.5"):
        auc_interval(1.5, 3, 3)
