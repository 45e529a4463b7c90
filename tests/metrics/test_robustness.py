"""What comes back beyond the reference: values, chance, and the mean over attacks."""

import itertools
import math

import numpy as np
import pytest

from ngdiff.errors import InputError
from ngdiff.metrics.robustness import beyond, chance, robustness


def test_rows_that_one_side_lacks_count_nothing():
    found = beyond([1.0, math.nan, 0.5, 0.2], [0.25, 0.0, math.nan, 0.2])
    assert found is not None
    assert (found.value, found.n) == (0.375, 2)
    assert beyond([math.nan], [0.5]) is None
    assert beyond([1.0], [0.5]) == (0.5, None, 1)


def test_the_interval_holds_the_value_and_is_within_what_is_possible():
    rng = np.random.default_rng(0)
    own, reference = rng.random(30), rng.random(30)
    found = beyond(own.tolist(), reference.tolist())
    assert found is not None
    assert found.interval is not None
    assert -1 <= found.interval[0] < found.value < found.interval[1] <= 1


def test_other_rows_are_refused():
    with pytest.raises(InputError, match="measured on 2 rows and the reference on 3"):
        beyond([0.0] * 2, [0.0] * 3)


def test_chance_is_that_of_all_flips():
    forms = [[0.3, -0.1, 0.4, 0.2, 0.05], [0.1, 0.2, -0.3, 0.25, 0.0]]
    observed = max(np.mean(form) for form in forms)
    flips = list(itertools.product((-1, 1), repeat=5))
    exact = np.mean([max(np.mean(np.multiply(form, signs)) for form in forms) >= observed - 1e-12 for signs in flips])
    assert chance(forms, draws=20_000) == pytest.approx(exact, abs=0.012)


def test_chance_holds_its_level_over_many_forms():
    rng = np.random.default_rng(1)
    said = [chance(rng.normal(size=(8, 12)).tolist(), draws=400, seed=i) <= 0.1 for i in range(300)]
    assert np.mean(said) < 0.15  # nothing comes back: said in a tenth of the cases


def test_a_row_that_is_not_known_does_not_change_the_chance_of_the_others():
    assert chance([[0.5, 0.5, 0.5, math.nan]]) == pytest.approx(1 / 8, abs=0.02)
    assert chance([[math.nan]]) == 1.0


def test_one_attack_that_brings_everything_back_leaves_nothing():
    assert robustness({"a": 0.0, "b": 1.0}) == 0.0
    assert robustness({"a": 0.0, "b": 0.0}) == 1.0
    assert robustness({}) is None
