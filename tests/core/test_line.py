"""The line of the optimizer's next step: where it leads, and that nothing remains of having looked."""

import weakref

import pytest
import torch
from torch.nn import Parameter

from ngdiff.core import NonlinearOptimizerError, StepLine
from ngdiff.core import line as line_module
from ngdiff.core.line import learning_rate, set_learning_rate

from .problems import LINEAR, NONLINEAR, Problem


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


def test_the_copy_of_the_optimizer_state_is_gone_before_the_direction_takes_memory(monkeypatch):
    problem = Problem(LINEAR["adamw"], warm=1)
    copies, alive = [], []
    snapshot, displacement = line_module.snapshot, StepLine._displacement

    def watched_snapshot(optimizer):
        state = snapshot(optimizer)
        copies.extend(weakref.ref(v) for one in state.values() for v in one.values() if torch.is_tensor(v))
        return state

    def watched_displacement(self, rate):
        alive.extend(copy for copy in copies if copy() is not None)
        return displacement(self, rate)

    monkeypatch.setattr(line_module, "snapshot", watched_snapshot)
    monkeypatch.setattr(StepLine, "_displacement", watched_displacement)
    with StepLine(problem.optimizer) as line:
        assert line.step_norm > 0
    assert copies
    assert not alive
