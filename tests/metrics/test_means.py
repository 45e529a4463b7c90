import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ngdiff.errors import InputError
from ngdiff.metrics import harmonic_mean, mean

POSITIVE = st.lists(st.floats(1e-6, 1e6), min_size=1, max_size=12)


@given(POSITIVE)
def test_the_harmonic_mean_lies_between_the_least_value_and_the_mean(values: list[float]) -> None:
    found = harmonic_mean(values, "x")
    assert min(values) * (1 - 1e-12) <= found <= mean(values, "x") * (1 + 1e-12)
    assert found == pytest.approx(1 / mean([1 / v for v in values], "x"))


def test_one_zero_makes_the_harmonic_mean_zero() -> None:
    assert harmonic_mean([1.0, 0.0, 1.0], "x") == 0.0


def test_the_mean_loses_nothing_to_cancellation() -> None:
    assert mean([1e16, 1.0, -1e16], "x") == 1 / 3


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_a_value_that_is_not_finite_is_named(bad: float) -> None:
    with pytest.raises(InputError, match=f"loss of example 1 is {bad}; the mean needs finite values"):
        mean([1.0, bad], "loss")
    with pytest.raises(InputError, match=f"utility: value 1 is {bad}; a harmonic mean needs finite values >= 0"):
        harmonic_mean([1.0, bad], "utility")


def test_nothing_to_average_and_negative_values() -> None:
    with pytest.raises(InputError, match="the mean of loss needs at least one example, found none"):
        mean([], "loss")
    with pytest.raises(InputError, match="the harmonic mean of utility needs at least one value, found none"):
        harmonic_mean([], "utility")
    with pytest.raises(InputError, match=r"utility: value 0 is -1\.0"):
        harmonic_mean([-1.0], "utility")
