"""The learning rate from probes: exact on quadratics, independent of its start, bounded, and undone."""

import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.nn import Parameter

from ngdiff.core import AutoLR, AutoLRSettings, NonlinearOptimizerError
from ngdiff.core.line import learning_rate


class Quadratic:
    """`phi(theta) = sum curvature (theta - target)^2 / 2`, with its gradient in `.grad`."""

    def __init__(self, rate: float, *, make=torch.optim.SGD, dtype=torch.float64, slope_sign: float = 1.0):
        self.curvature = torch.tensor([1.0, 4.0, 0.5], dtype=dtype)
        self.p = Parameter(torch.tensor([1.0, -2.0, 3.0], dtype=dtype))
        self.p.grad = slope_sign * self.curvature * self.p.detach()
        self.optimizer = make([self.p], lr=rate)
        self.calls = 0

    def loss(self) -> float:
        self.calls += 1
        return float((self.curvature * self.p.detach() ** 2).sum() / 2) + 0.1

    @property
    def best(self) -> float:
        """`b / h` along the gradient, in closed form."""
        g = self.p.grad
        return float((g @ g) / (g @ (self.curvature * g))) if g is not None else math.nan


def test_as_printed_finds_the_minimum_of_a_quadratic_from_anywhere():
    for rate in (1e-4, 1e-1, 10.0):
        problem = Quadratic(rate)
        settings = AutoLRSettings.as_printed(rate, noise=1e-15)
        here = problem.loss()
        probe = AutoLR(settings).probe(problem.optimizer, problem.loss, here=here)
        assert probe.accepted
        assert learning_rate(problem.optimizer) == pytest.approx(problem.best, rel=1e-5)
        assert probe.forwards == problem.calls - 1 == 2  # phi(0) is known from the step itself


@pytest.mark.parametrize("start", [1e-9, 1e-7, 1e-4, 1e-1, 1e3, 1e7, None])
def test_the_search_ends_at_the_same_rate_whatever_its_start(start):
    problem = Quadratic(1e-3)
    autolr = AutoLR(AutoLRSettings(start=start))
    probe = autolr.probe(problem.optimizer, problem.loss, search=True)
    assert probe.accepted
    assert probe.after == learning_rate(problem.optimizer) == pytest.approx(problem.best, rel=1e-6)


def test_the_search_does_not_trust_a_parabola_far_from_its_minimum():
    """Near 0 this loss looks like a parabola with its minimum at 100; the real one is at 1."""

    def phi(x: float) -> float:
        return -x + x * x / 200 + (max(x, 0.0) ** 6) / 6

    p = Parameter(torch.full((1,), 10.0, dtype=torch.float64))
    p.grad = torch.ones(1, dtype=torch.float64)
    optimizer = torch.optim.SGD([p], lr=1.0)
    settings = AutoLRSettings(start=1e-3)
    probe = AutoLR(settings).probe(optimizer, lambda: 2.0 + phi(10.0 - p.item()), search=True)
    assert 0.3 < probe.after < 1.5


@pytest.mark.parametrize(("rate", "bound", "expected"), [(1e-6, 4.0, 4e-6), (0.45, 1.2, 0.375)])
def test_a_probe_changes_the_rate_by_at_most_its_bound(rate, bound, expected):
    problem = Quadratic(rate)
    probe = AutoLR(AutoLRSettings(max_change=bound, inertia=0.0, noise=0.0)).probe(problem.optimizer, problem.loss)
    assert probe.after == learning_rate(problem.optimizer) == pytest.approx(expected)


@pytest.mark.parametrize(("rate", "expected"), [(1e-6, 1e-6), (0.45, 0.375)])
def test_a_rate_that_may_not_rise_may_fall(rate, expected):
    problem, settings = Quadratic(rate), AutoLRSettings(max_change=1.2, inertia=0.0, noise=0.0)
    probe = AutoLR(settings).probe(problem.optimizer, problem.loss, may_rise=False)
    assert probe.accepted
    assert probe.after == learning_rate(problem.optimizer) == pytest.approx(expected)


@pytest.mark.parametrize("start", [1e-8, 1e-6, 1.0, 1e4])
def test_uphill_the_search_takes_what_curvature_affords(start):
    """A fresh batch may rise along the step. Its curvature then says how far a step may go."""
    problem = Quadratic(0.1, slope_sign=-1.0)
    settings = AutoLRSettings(start=start, tolerance=0.02)
    probe = AutoLR(settings).probe(problem.optimizer, problem.loss, search=True)
    g = problem.p.grad
    curvature = float(g @ (problem.curvature * g))
    assert probe.accepted
    assert probe.after == pytest.approx(math.sqrt(2 * 0.02 * problem.loss() / curvature), rel=1e-4)


def test_a_search_that_meets_only_noise_gives_its_start():
    problem = Quadratic(0.1)
    probe = AutoLR(AutoLRSettings(start=0.03)).probe(problem.optimizer, lambda: 1.0, search=True)
    assert (probe.accepted, probe.after) == (False, 0.03)


@pytest.mark.parametrize("inertia", [0.0, 0.5, 0.9])
def test_inertia_averages_logarithms(inertia):
    problem = Quadratic(0.1)
    settings = AutoLRSettings(max_change=None, inertia=inertia)
    probe = AutoLR(settings).probe(problem.optimizer, problem.loss)
    expected = inertia * math.log(0.1) + (1 - inertia) * math.log(problem.best)
    assert math.log(probe.after) == pytest.approx(expected, rel=1e-6)


def test_a_loss_that_rises_along_the_step_leaves_the_rate():
    problem = Quadratic(0.1, slope_sign=-1.0)
    probe = AutoLR(AutoLRSettings()).probe(problem.optimizer, problem.loss)
    assert (probe.accepted, probe.after) == (False, 0.1)
    assert "does not fall" in probe.reason


def test_differences_below_the_noise_leave_the_rate():
    problem = Quadratic(0.1)
    probe = AutoLR(AutoLRSettings()).probe(problem.optimizer, lambda: 1.0)
    assert (probe.accepted, probe.after) == (False, 0.1)
    assert "noise" in probe.reason


def test_the_radius_widens_until_the_differences_are_resolved():
    problem = Quadratic(1e-5)
    step = 1e-4  # of a loss of 10.85

    def rounded() -> float:
        return round(problem.loss() / step) * step

    probe = AutoLR(AutoLRSettings(noise=1e-5, max_change=None, inertia=0.0)).probe(problem.optimizer, rounded)
    assert probe.accepted
    assert [fit.rho for fit in probe.fits] == [pytest.approx(1e-5 * 16**k) for k in range(len(probe.fits))]
    assert len(probe.fits) > 1
    assert probe.after == pytest.approx(problem.best, rel=0.2)


def test_as_printed_one_radius_decides():
    """Remark 3.1: where the differences are lost in noise the rate is kept."""
    problem = Quadratic(1e-5)
    probe = AutoLR(AutoLRSettings.as_printed(1e-5, noise=1e-5)).probe(problem.optimizer, problem.loss)
    assert (probe.accepted, probe.after, len(probe.fits)) == (False, 1e-5, 1)
    assert "noise" in probe.reason


def test_an_exploding_loss_shrinks_the_rate():
    problem = Quadratic(1.0)

    def loss() -> float:
        return math.inf if float(problem.p.detach().abs().max()) > 5 else problem.loss()

    probe = AutoLR(AutoLRSettings()).probe(problem.optimizer, loss)
    assert (probe.accepted, probe.after) == (False, 0.25)
    searched = AutoLR(AutoLRSettings(start=1e3)).probe(problem.optimizer, loss, search=True)
    assert searched.accepted
    assert searched.after == pytest.approx(problem.best, rel=1e-6)


def test_a_vanished_step_is_no_step():
    problem = Quadratic(0.1)
    problem.p.grad.zero_()
    probe = AutoLR(AutoLRSettings()).probe(problem.optimizer, problem.loss, search=True)
    assert (probe.accepted, probe.after, problem.calls) == (False, 0.1, 1)  # at the start, before the step is known


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
@pytest.mark.parametrize("search", [True, False])
def test_weights_and_state_are_untouched(dtype, search):
    problem = Quadratic(0.05, make=torch.optim.AdamW, dtype=dtype)
    problem.optimizer.step()
    before = problem.p.detach().clone()
    state = {k: v.clone() for k, v in problem.optimizer.state[problem.p].items()}
    AutoLR(AutoLRSettings()).probe(problem.optimizer, problem.loss, search=search)
    assert torch.equal(problem.p.detach(), before)
    assert all(torch.equal(v, state[k]) for k, v in problem.optimizer.state[problem.p].items())


def test_when_a_probe_is_due():
    autolr = AutoLR(AutoLRSettings(interval=10))
    assert [step for step in range(1, 31) if autolr.is_due(step)] == [1, 10, 20, 30]
    printed = AutoLR(AutoLRSettings.as_printed(1e-4))
    assert [step for step in range(1, 31) if printed.is_due(step)] == [10, 20, 30]


class Odd(torch.optim.SGD):
    """Cannot be made anew from its groups."""

    def __init__(self, params, lr, secret=None):
        super().__init__(params, lr=lr)
        if secret is None:
            raise TypeError("secret")


@pytest.mark.parametrize(
    ("make", "dtype", "lean"),
    [
        (torch.optim.SGD, torch.float32, True),
        (torch.optim.AdamW, torch.float64, True),
        (torch.optim.SGD, torch.bfloat16, False),
        (lambda params, lr: Odd(params, lr, secret=1), torch.float32, False),
    ],
)
def test_probes_are_lean_where_that_is_allowed(make, dtype, lean):
    problem = Quadratic(1e-3, make=make, dtype=dtype)
    start = problem.p.detach().clone()
    autolr = AutoLR(AutoLRSettings(memory="auto"))
    autolr.probe(problem.optimizer, problem.loss, search=True)
    assert (problem.p.grad is None) == lean
    assert torch.equal(problem.p.detach(), start) != lean


@pytest.mark.parametrize("memory", ["lean", "exact"])
def test_a_probe_says_how_long_a_step_is_beside_the_weights(memory):
    problem = Quadratic(1e-3)
    found = AutoLR(AutoLRSettings(memory=memory)).probe(problem.optimizer, problem.loss).relative_step
    assert found == pytest.approx(67.25**0.5 / 14.0**0.5, rel=1e-3)  # |g| / |theta_0|


@pytest.mark.parametrize("memory", ["lean", "exact"])
def test_the_length_of_a_step_beside_weights_of_zero_is_unknown(memory):
    problem = Quadratic(1e-3)
    problem.p.detach().zero_()
    assert AutoLR(AutoLRSettings(memory=memory)).probe(problem.optimizer, problem.loss).relative_step == 0.0


def test_what_is_not_linear_is_refused_by_a_probe_of_either_kind():
    for memory in ("exact", "lean", "auto"):
        problem = Quadratic(1e-3, make=torch.optim.Rprop, dtype=torch.float32)
        with pytest.raises(NonlinearOptimizerError, match="Rprop cannot be used with AutoLR"):
            AutoLR(AutoLRSettings(memory=memory)).probe(problem.optimizer, problem.loss)


LOSSES = st.one_of(st.floats(), st.floats(0.0, 12.0), st.floats(6.2, 6.4))
RATES = st.floats(1e-300, 1e300)


@given(
    data=st.data(), rate=RATES, start=st.none() | RATES, search=st.booleans(), memory=st.sampled_from(["exact", "lean"])
)
def test_whatever_the_losses_no_step_is_longer_than_the_weights(data, rate, start, search, memory):
    problem = Quadratic(rate)
    before = problem.p.detach().clone()
    length, moved = float(before.norm()), []

    def loss() -> float:
        moved.append(float((problem.p.detach() - before).norm()))
        return data.draw(LOSSES)

    settings = AutoLRSettings(start=start, memory=memory, max_change=data.draw(st.none() | st.just(4.0)))
    probe = AutoLR(settings).probe(problem.optimizer, loss, search=search)
    step = float((problem.curvature * before).norm())
    assert 0.0 < probe.after * step <= length * (1 + 1e-9)
    assert max(moved) <= length * (1 + 1e-9)
    assert all(0.0 < fit.rho * step <= length * (1 + 1e-9) for fit in probe.fits)
    assert torch.isfinite(problem.p.detach()).all()


def test_a_loss_that_falls_for_ever_is_followed_as_far_as_the_weights_are_long():
    """On a model that knows nothing, with logits that are bounded along the line, the lowest loss may lie at 1e9."""
    problem = Quadratic(1e-3)
    start = problem.p.detach().clone()
    probe = AutoLR(AutoLRSettings()).probe(
        problem.optimizer, lambda: 6.2 - float((problem.p.detach() - start)[0] * -1.0) * 1e-3, search=True
    )
    assert probe.after * problem.p.grad.norm() == pytest.approx(start.norm())
    assert (probe.accepted, probe.reason) == (False, "the retain loss falls as far as a step as long as the weights")


def test_a_start_that_is_too_far_is_not_kept_where_nothing_is_found():
    problem = Quadratic(1e-3)
    here = problem.p.detach().clone()

    def cliff() -> float:
        return 1.0 if float((problem.p.detach() - here).norm()) < 1e-4 else 1e3

    probe = AutoLR(AutoLRSettings(start=1.0)).probe(problem.optimizer, cliff, search=True)
    assert not probe.accepted
    assert 1e-7 < probe.after * float(problem.p.grad.norm()) < 1e-4


@pytest.mark.parametrize("memory", ["exact", "lean", "auto"])
@pytest.mark.parametrize("search", [True, False])
def test_without_gradients_there_is_no_step(memory, search):
    problem = Quadratic(0.1)
    problem.p.grad = None
    probe = AutoLR(AutoLRSettings(memory=memory)).probe(problem.optimizer, problem.loss, search=search)
    assert (probe.accepted, probe.after, probe.forwards, probe.fits) == (False, 0.1, 0, [])
    assert probe.reason == "step of length 0"


@pytest.mark.parametrize("memory", ["exact", "lean"])
def test_a_step_of_infinite_length_leaves_the_weights(memory):
    problem = Quadratic(0.1, dtype=torch.float32)
    before = problem.p.detach().clone()
    problem.p.grad = torch.full((3,), 1e37)
    with pytest.raises(FloatingPointError, match="the step of SGD has a length of inf; the weights have not moved"):
        AutoLR(AutoLRSettings(memory=memory)).probe(problem.optimizer, problem.loss, search=True)
    assert torch.equal(problem.p.detach(), before)


def test_weights_of_zero_are_taken_for_small_random_ones():
    problem = Quadratic(1e-3)
    problem.p.detach().zero_()
    probe = AutoLR(AutoLRSettings()).probe(problem.optimizer, lambda: 6.0, search=True)
    length = probe.after * float(problem.p.grad.norm())
    assert length == pytest.approx(1e-3 * 0.02 * math.sqrt(3))
