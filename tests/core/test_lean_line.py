"""Lines that take the optimizer's step for good: where they lead, and that they end where the step would have."""

import math

import pytest
import torch
from torch.nn import Parameter

from ngdiff.core import InPlaceStepLine, LeanStepLine, NonlinearOptimizerError, StepLine
from ngdiff.core.lean_line import rounding
from ngdiff.core.line import learning_rate, set_learning_rate

from .test_line import LINEAR, NONLINEAR, Problem

LEAN = [LeanStepLine, InPlaceStepLine]


def distance(some, others) -> float:
    """Euclidean, over all tensors."""
    return float(torch.cat([(a.detach() - b.detach()).reshape(-1) for a, b in zip(some, others, strict=True)]).norm())


@pytest.mark.parametrize("device", [None, "cpu"])
@pytest.mark.parametrize("warm", [0, 3])
@pytest.mark.parametrize("name", LINEAR)
def test_the_lean_line_takes_the_step_that_the_optimizer_would_take(name, warm, device):
    stepped, lean = Problem(LINEAR[name], warm=warm), Problem(LINEAR[name], warm=warm)
    start = [p.detach().clone() for p in lean.net.parameters()]
    set_learning_rate(stepped.optimizer, 0.03)
    stepped.optimizer.step()
    with StepLine(Problem(LINEAR[name], warm=warm).optimizer) as line:
        step_norm = line.step_norm
    with LeanStepLine(lean.optimizer, check=True, origin_device=device) as line:
        assert line.step_norm == pytest.approx(step_norm, rel=1e-6)
        line.move_to(-7.0)
        line.settle(0.03)
    assert learning_rate(lean.optimizer) == pytest.approx(0.03)
    moved = [p.detach().clone() for p in lean.net.parameters()]
    expected = [p.detach().clone() for p in stepped.net.parameters()]
    assert distance(moved, expected) <= 3e-6 * distance(start, expected)
    lean.optimizer.step()  # the trainer's own, which finds no gradients
    assert all(torch.equal(a, b) for a, b in zip(moved, lean.net.parameters(), strict=True))
    one, other = stepped.optimizer.state_dict()["state"], lean.optimizer.state_dict()["state"]
    for key, values in one.items():
        for what, value in values.items():
            torch.testing.assert_close(other[key][what], value, rtol=0, atol=0)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("device", [None, "cpu"])
@pytest.mark.parametrize("warm", [0, 3])
@pytest.mark.parametrize("name", LINEAR)
def test_a_line_in_place_leads_where_a_lean_one_leads(name, warm, device, dtype):
    """Up to the rounding of the weights at the rate of its step, times how much farther it goes."""
    lean, other = Problem(LINEAR[name], dtype, warm), Problem(LINEAR[name], dtype, warm)
    start = [p.detach().clone() for p in lean.net.parameters()]
    weights = float(torch.cat([p.reshape(-1) for p in start]).norm())
    own = InPlaceStepLine(other.optimizer, check=True, origin_device=device)
    digits = 1e-6 if name == "adamw-tensor-rate" else 0.0  # its rates are rounded to fp32

    def assert_near(rho: float, step_norm: float) -> None:
        bound = torch.finfo(dtype).eps * weights * (1 + abs(rho) / 0.01) + digits * abs(rho) * step_norm
        assert distance(lean.net.parameters(), other.net.parameters()) <= bound
        assert bound < 0.01 * distance(start, other.net.parameters()), "says nothing"

    with LeanStepLine(lean.optimizer) as line, own:
        for rho in (0.01, -0.01, 0.16, -0.16, 0.0025):
            line.move_to(rho)
            own.move_to(rho)
            assert_near(rho, line.step_norm)
        line.settle(0.03)
        own.settle(0.03)
    # After 0.16, and 0.0025: rounding there, times how much farther from it.
    assert_near(0.03 * (1 + 0.01 / 0.0025), line.step_norm)
    assert learning_rate(other.optimizer) == pytest.approx(0.03)
    assert all(p.grad is None for p in other.net.parameters())
    moved = [p.detach().clone() for p in other.net.parameters()]
    other.optimizer.step()
    assert all(map(torch.equal, moved, other.net.parameters()))
    one, two = lean.optimizer.state_dict()["state"], other.optimizer.state_dict()["state"]
    for key, values in one.items():
        for what, value in values.items():
            torch.testing.assert_close(two[key][what], value, rtol=0, atol=0)


def test_a_line_in_place_comes_back_to_the_start_but_not_away_from_it():
    problem = Problem(LINEAR["adamw"], warm=1)
    before = problem.snapshot()[0]
    with InPlaceStepLine(problem.optimizer) as line:
        line.move_to(0.3)
        line.move_to(0.0)
        assert all(map(torch.equal, before, problem.net.parameters()))
        with pytest.raises(ValueError, match=r"nothing is known of the way to theta_0 - 0.5 d"):
            line.move_to(0.5)
    assert all(map(torch.equal, before, problem.net.parameters()))


@pytest.mark.parametrize("far", [16.0, 4096.0, 1e7])
def test_a_line_in_place_comes_back_from_afar(far):
    """`1 - rho' / rho` alone would have lost the digits of `rho' / rho`."""
    p = Parameter(torch.full((100,), 1e-3))
    p.grad = torch.linspace(-1.0, 1.0, 100)
    with InPlaceStepLine(torch.optim.SGD([p], lr=0.5)) as line:
        line.move_to(-0.5 * far)
        line.settle(0.5)
    torch.testing.assert_close(1e-3 - p.detach(), 0.5 * torch.linspace(-1.0, 1.0, 100), rtol=1e-5, atol=1e-8)


def test_rounding_is_that_of_the_coarsest_weights_that_move():
    coarse, fine = (Parameter(torch.ones(1, dtype=dtype)) for dtype in (torch.bfloat16, torch.float32))
    optimizer = torch.optim.SGD([coarse, fine], lr=0.1)
    assert rounding(optimizer) == math.inf
    fine.grad = torch.ones(1)
    assert rounding(optimizer) == 2.0**-23
    coarse.grad = torch.ones(1, dtype=torch.bfloat16)
    assert rounding(optimizer) == 2.0**-7


@pytest.mark.parametrize("make_line", LEAN)
@pytest.mark.parametrize("device", [None, "cpu"])
def test_theta_0_lies_in_spare_memory(device, make_line):
    problem, other = Problem(LINEAR["adamw"]), Problem(LINEAR["adamw"])
    weights = list(problem.net.parameters())
    of_other_types = [torch.zeros_like(weights[0], dtype=torch.float64), torch.zeros(3)]
    spare = [*of_other_types, torch.full_like(weights[1], 7.0)]
    place = spare[-1].data_ptr()
    with make_line(problem.optimizer, origin_device=device, spare=spare) as line:
        assert spare == []
        assert [origin.data_ptr() == place for origin in line._origin[:2]] == [False, device is None]
        line.settle(0.03)
    with make_line(other.optimizer) as line:
        line.settle(0.03)
    assert all(map(torch.equal, problem.net.parameters(), other.net.parameters()))


@pytest.mark.parametrize("make_line", LEAN)
def test_a_lean_line_leads_back_after_an_error(make_line):
    problem = Problem(LINEAR["adamw"])
    before = problem.snapshot()[0]

    def fail():
        with make_line(problem.optimizer) as line:
            line.settle(0.5)
            line.move_to(2.0)
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert all(torch.equal(a, b) for a, b in zip(before, problem.net.parameters(), strict=True))


@pytest.mark.parametrize("make_line", LEAN)
def test_a_lean_line_without_a_rate_leads_back(make_line):
    problem = Problem(LINEAR["adamw"])
    before = problem.snapshot()[0]
    with make_line(problem.optimizer) as line:
        line.move_to(2.0)
    assert all(map(torch.equal, before, problem.net.parameters()))


@pytest.mark.parametrize("make_line", LEAN)
@pytest.mark.parametrize("name", NONLINEAR)
def test_the_lean_line_refuses_what_the_exact_one_refuses(name, make_line):
    problem = Problem(NONLINEAR[name][0])
    before = problem.snapshot()
    with (
        pytest.raises(NonlinearOptimizerError, match="cannot be used with AutoLR"),
        make_line(problem.optimizer, check=True),
    ):
        pass
    problem.assert_unchanged(before)


def test_a_lean_line_of_an_optimizer_that_cannot_be_made_anew_is_refused():
    class Odd(torch.optim.SGD):
        def __init__(self, params, secret):
            super().__init__(params, lr=0.1)

    problem = Problem(lambda p: Odd(p, secret=1))
    with (
        pytest.raises(NonlinearOptimizerError, match="--autolr-memory exact"),
        LeanStepLine(problem.optimizer, check=True),
    ):
        pass


@pytest.mark.parametrize("make_line", LEAN)
@pytest.mark.parametrize("shape", [(0, 3), (), (2, 3)])
def test_a_lean_line_over_weights_of_any_shape(shape, make_line):
    weights = torch.arange(6.0)[: torch.Size(shape).numel()].reshape(shape)
    p = Parameter(weights.clone())
    p.grad = torch.ones(shape)
    with make_line(torch.optim.SGD([p], lr=0.1)) as line:
        line.move_to(0.5)
        torch.testing.assert_close(p.detach(), weights - 0.5, rtol=0, atol=0 if make_line is LeanStepLine else 1e-5)
    assert torch.equal(p.detach(), weights)
