"""The line of the optimizer's next step: where it leads, and that nothing remains of having looked."""

import copy
import math
import weakref

import pytest
import torch
from torch.nn import Parameter

from ngdiff.core import InPlaceStepLine, LeanStepLine, NonlinearOptimizerError, StepLine
from ngdiff.core import line as line_module
from ngdiff.core.line import learning_rate, rounding, set_learning_rate

LINEAR = {
    "sgd": lambda p: torch.optim.SGD(p, lr=1e-2, weight_decay=0.1),
    "sgd-momentum": lambda p: torch.optim.SGD(p, lr=1e-2, momentum=0.9, nesterov=True),
    "adam": lambda p: torch.optim.Adam(p, lr=1e-2, weight_decay=0.1),
    "adamw": lambda p: torch.optim.AdamW(p, lr=1e-2, weight_decay=0.1),
    "adamw-fused": lambda p: torch.optim.AdamW(p, lr=1e-2, fused=True),
    "adamw-tensor-rate": lambda p: torch.optim.AdamW(p, lr=torch.tensor(1e-2)),
    "amsgrad": lambda p: torch.optim.AdamW(p, lr=1e-2, amsgrad=True),
    "nadam": lambda p: torch.optim.NAdam(p, lr=1e-2),
    "radam": lambda p: torch.optim.RAdam(p, lr=1e-2),
    "adagrad": lambda p: torch.optim.Adagrad(p, lr=1e-2),
    "rmsprop": lambda p: torch.optim.RMSprop(p, lr=1e-2, momentum=0.5),
}
NONLINEAR = {
    "adafactor": (lambda p: torch.optim.Adafactor(p, lr=1e-2), "not proportional to the learning rate"),
    "rprop": (lambda p: torch.optim.Rprop(p, lr=1e-2), "not proportional to the learning rate"),
    "asgd": (lambda p: torch.optim.ASGD(p, lr=1e-2), "depends on the learning rate"),
    "lbfgs": (lambda p: torch.optim.LBFGS(p, lr=1e-2), "wants a closure"),
}


LEAN = [LeanStepLine, InPlaceStepLine]


class Problem:
    """A small network with gradients in place, after `warm` steps of its optimizer."""

    def __init__(self, make, dtype=torch.float32, warm: int = 0):
        torch.manual_seed(0)
        self.net = torch.nn.Sequential(torch.nn.Linear(6, 16), torch.nn.Tanh(), torch.nn.Linear(16, 3)).to(dtype)
        self.optimizer = make(self.net.parameters())
        for step in range(warm + 1):
            self.optimizer.zero_grad()
            torch.manual_seed(step)
            self.net(torch.randn(8, 6, dtype=dtype)).float().square().sum().backward()
            if step < warm:
                self.optimizer.step()

    def snapshot(self):
        state = copy.deepcopy(self.optimizer.state_dict())
        weights = [p.detach().clone() for p in self.net.parameters()]
        return weights, [p.grad.clone() for p in self.net.parameters()], state

    def assert_unchanged(self, before):
        weights, gradients, state = before
        after_weights, after_gradients, after_state = self.snapshot()
        for old, new in zip(weights + gradients, after_weights + after_gradients, strict=True):
            assert torch.equal(old, new)
        assert state["param_groups"] == after_state["param_groups"]
        assert state["state"].keys() == after_state["state"].keys()
        for key, values in state["state"].items():
            assert values.keys() == after_state["state"][key].keys()
            for name, value in values.items():
                other = after_state["state"][key][name]
                assert torch.equal(value, other) if torch.is_tensor(value) else value == other


def distance(some, others) -> float:
    """Euclidean, over all tensors."""
    return float(torch.cat([(a.detach() - b.detach()).reshape(-1) for a, b in zip(some, others, strict=True)]).norm())


@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16, torch.float64])
@pytest.mark.parametrize("warm", [0, 3])
@pytest.mark.parametrize("name", LINEAR)
def test_everything_is_restored_bit_for_bit(name, warm, dtype):
    problem = Problem(LINEAR[name], dtype, warm)
    before = problem.snapshot()
    with StepLine(problem.optimizer, check=True) as line:
        line.move_to(0.5)
        assert any(not torch.equal(a, b) for a, b in zip(before[0], problem.net.parameters(), strict=True)), (
            "the line leads nowhere"
        )
        line.move_to(-3.0)
    problem.assert_unchanged(before)


@pytest.mark.parametrize("name", LINEAR)
def test_the_line_passes_through_the_real_step(name):
    problem = Problem(LINEAR[name], torch.float64, warm=2)
    rate = learning_rate(problem.optimizer)
    with StepLine(problem.optimizer) as line:
        line.move_to(rate)
        probed = [p.detach().clone() for p in problem.net.parameters()]
    problem.optimizer.step()
    for a, b in zip(probed, problem.net.parameters(), strict=True):
        # A rate kept in an fp32 tensor is itself off by 1e-7 of the step of 1e-2.
        torch.testing.assert_close(a, b.detach(), rtol=0, atol=1e-8)


def test_bf16_keeps_the_digits_of_a_small_step():
    """`theta_0 - theta_1` at the run's own rate would be rounded away; the measured direction is not."""
    p = Parameter(torch.ones(1000, dtype=torch.bfloat16))
    p.grad = torch.full_like(p, 0.3)
    with StepLine(torch.optim.SGD([p], lr=1e-6)) as line:
        assert line.step_norm == pytest.approx(0.3 * 1000**0.5, rel=1e-2)


def test_restored_after_an_error_on_the_line():
    problem = Problem(LINEAR["adamw"], warm=1)
    before = problem.snapshot()

    def look_and_fail() -> None:
        with StepLine(problem.optimizer) as line:
            line.move_to(1.0)
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        look_and_fail()
    problem.assert_unchanged(before)


@pytest.mark.parametrize("name", NONLINEAR)
def test_nonlinear_optimizers_are_refused_with_a_reason(name):
    make, reason = NONLINEAR[name]
    problem = Problem(make)
    before = problem.snapshot()
    with pytest.raises(NonlinearOptimizerError, match=reason), StepLine(problem.optimizer, check=True):
        raise AssertionError("not reached")
    problem.assert_unchanged(before)


def test_groups_keep_the_ratio_of_their_rates():
    a, b = Parameter(torch.ones(1)), Parameter(torch.ones(1))
    a.grad, b.grad = torch.ones(1), torch.ones(1)
    optimizer = torch.optim.SGD([{"params": [a], "lr": 0.1}, {"params": [b], "lr": 0.4}])
    with StepLine(optimizer) as line:
        line.move_to(0.8)  # of the largest rate
        assert (a.item(), b.item()) == pytest.approx((0.8, 0.2))
    assert [g["lr"] for g in optimizer.param_groups] == [0.1, 0.4]
    set_learning_rate(optimizer, 0.2)
    assert [g["lr"] for g in optimizer.param_groups] == [pytest.approx(0.05), 0.2]


def test_parameters_without_a_gradient_stay():
    still, moving = Parameter(torch.ones(2)), Parameter(torch.ones(2))
    moving.grad = torch.ones(2)
    with StepLine(torch.optim.AdamW([still, moving], lr=0.1, weight_decay=0.5)) as line:
        line.move_to(0.1)
        assert still.tolist() == [1.0, 1.0]
    assert still.grad is None


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


def test_the_copy_of_the_optimizer_state_is_gone_before_the_direction_takes_memory(monkeypatch):
    problem = Problem(LINEAR["adamw"], warm=1)
    copies, alive = [], []
    snapshot, displacement = line_module._snapshot, StepLine._displacement

    def watched_snapshot(optimizer):
        state = snapshot(optimizer)
        copies.extend(weakref.ref(v) for one in state.values() for v in one.values() if torch.is_tensor(v))
        return state

    def watched_displacement(self, rate):
        alive.extend(copy for copy in copies if copy() is not None)
        return displacement(self, rate)

    monkeypatch.setattr(line_module, "_snapshot", watched_snapshot)
    monkeypatch.setattr(StepLine, "_displacement", watched_displacement)
    with StepLine(problem.optimizer) as line:
        assert line.step_norm > 0
    assert copies
    assert not alive


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
