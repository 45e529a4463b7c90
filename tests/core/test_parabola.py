"""The three-point fit."""

import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ngdiff.core import Parabola


def fit(phi, rho: float) -> Parabola:
    return Parabola(rho, behind=phi(-rho), here=phi(0.0), ahead=phi(rho))


@given(
    slope=st.floats(-10, 10),
    curvature=st.floats(0.1, 10),
    rho=st.floats(1e-2, 10),
    height=st.floats(0, 3),
)
def test_exact_on_a_quadratic(slope, curvature, rho, height):
    parabola = fit(lambda x: height - slope * x + curvature * x * x / 2, rho)
    assert parabola.slope == pytest.approx(slope, rel=1e-6, abs=1e-6)
    assert parabola.curvature == pytest.approx(curvature, rel=1e-6)
    assert parabola.minimum == pytest.approx(slope / curvature, rel=1e-5, abs=1e-5)


@pytest.mark.parametrize(
    ("phi", "bowl"),
    [
        (lambda x: (x - 1) ** 2, True),
        (lambda x: (x + 1) ** 2, False),  # rises along the step
        (lambda x: -x - x * x, False),  # falls, but ever faster
        (lambda x: -x, False),
    ],
)
def test_a_bowl_falls_and_curves_upwards(phi, bowl):
    assert fit(phi, 0.5).is_bowl is bowl


def test_differences_within_the_noise_are_not_resolved():
    parabola = Parabola(1.0, behind=1.010, here=1.0, ahead=1.002)
    assert parabola.is_resolved(2e-3)
    assert not parabola.is_resolved(4e-3)  # slope: 0.008 against 2 x 0.004
    assert not parabola.is_resolved(3.1e-3)  # curvature: 0.012 against 4 x 0.0031


@pytest.mark.parametrize("rho", [5e-324, 1e-300, 1e300])
def test_no_radius_is_too_small_or_too_large(rho):
    parabola = Parabola(rho, behind=4.0, here=1.0, ahead=0.0)  # (1 - x / rho)^2
    assert parabola.is_bowl
    assert parabola.minimum == rho
    assert parabola.curvature >= 0.0  # infinite, or 0: but no error
    assert parabola.slope >= 0.0


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_non_finite(bad):
    assert not Parabola(1.0, behind=1.0, here=1.0, ahead=bad).is_finite
