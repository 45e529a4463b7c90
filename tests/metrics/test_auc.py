"""AUC against counting every pair, its interval against a loop and by simulation."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy.special import ndtri
from scipy.stats import mannwhitneyu

from ngdiff.errors import InputError
from ngdiff.metrics import auc, auc_interval
from ngdiff.metrics.auc import auc_ends

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
    with pytest.raises(InputError, match="an AUC needs values on both sides, found no others"):
        auc([1.0], [])
    with pytest.raises(InputError, match="found no members"):
        auc([], [1.0])
    with pytest.raises(InputError, match="value 1 of the members is NaN"):
        auc([1.0, math.nan], [1.0])


def test_draws_are_weighted_pairs_with_a_value_not_seen_on_the_smaller_side() -> None:
    members, others = [1.0, 2.0, 5.0], [2.0, 3.0, 0.0, 5.0]
    found = auc_ends(members, others, seed=7, draws=20)
    rng = np.random.default_rng(7)
    drawn = rng.standard_exponential((20, 4)), rng.standard_exponential((20, 4))  # 3 members and one more, 4 others
    for low, high, w, v in zip(found.low, found.high, *drawn, strict=True):
        w, v = w / w.sum(), v / v.sum()
        pairs = [[1.0 if m < o else 0.5 if m == o else 0.0 for o in sorted(others)] for m in members]
        assert low == pytest.approx(w @ [*map(list, pairs), [0.0] * 4] @ v, abs=1e-12)
        assert high == pytest.approx(w @ [*map(list, pairs), [1.0] * 4] @ v, abs=1e-12)


SIDES = st.lists(st.sampled_from([0.0, 0.5, 1.0, 2.0, math.inf]), min_size=1, max_size=12)


@given(SIDES, SIDES, st.sampled_from([0.5, 0.9, 0.99]))
def test_the_interval_holds_the_estimate_and_grows_with_the_level(
    members: list[float], others: list[float], confidence: float
) -> None:
    low, high = auc_interval(members, others, confidence=confidence)
    assert 0 <= low <= auc(members, others) + 1e-12
    assert auc(members, others) - 1e-12 <= high <= 1
    assert low < high
    wide_low, wide_high = auc_interval(members, others, confidence=0.999)
    assert wide_low <= low
    assert wide_high >= high


def test_sides_that_do_not_overlap_keep_a_width() -> None:
    """As many members as Clopper and Pearson need to know: 0.025 ** (1 / 20)."""
    low, high = auc_interval(list(range(20)), list(range(20, 420)))
    assert low == pytest.approx(0.8316, abs=0.01)
    assert high == 1.0


def coverage(true: float, spread: float, m: int, n: int, runs: int, draws: int) -> float:
    rng = np.random.default_rng([m, n, round(100 * true)])
    shift = ndtri(true) * math.hypot(1, spread)
    held = 0
    for run in range(runs):
        members, others = rng.normal(0, 1, m).tolist(), rng.normal(shift, spread, n).tolist()
        low, high = auc_ends(members, others, seed=run, draws=draws).interval(0.95)
        held += low <= true <= high
    return held / runs


@pytest.mark.parametrize(
    ("m", "n", "spread"), [(10, 10, 3.0), (20, 20, 1.0), (30, 40, 2.0), (20, 400, 0.33), (400, 20, 3.0)]
)
@pytest.mark.parametrize("true", [0.02, 0.5, 0.95])
def test_coverage(true: float, m: int, n: int, spread: float) -> None:
    """Normal scores of known AUC: 95 % intervals hold it in at least 93 % of 200 samples."""
    assert coverage(true, spread, m, n, runs=200, draws=400) >= 0.93


@pytest.mark.slow
@pytest.mark.parametrize(("m", "n"), [(10, 10), (20, 20), (40, 40), (10, 100), (100, 10), (20, 400), (400, 20)])
@pytest.mark.parametrize("spread", [0.2, 0.33, 1.0, 3.0])
def test_coverage_at_length(m: int, n: int, spread: float) -> None:
    found = {true: coverage(true, spread, m, n, 1000, 1000) for true in (0.01, 0.05, 0.2, 0.5, 0.8, 0.95, 0.99)}
    assert min(found.values()) >= 0.93, found


@pytest.mark.parametrize("confidence", [0.0, 1.0, -1.0, 95.0, math.nan])
def test_levels_that_are_none(confidence: float) -> None:
    with pytest.raises(InputError, match=r"a level lies between 0 and 1, such as 0\.95"):
        auc_interval([1.0, 2.0], [2.0, 3.0], confidence=confidence)
