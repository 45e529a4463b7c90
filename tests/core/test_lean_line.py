"""Lines that take the optimizer's step for good: where they lead, and that they end where the step would have."""

import pytest
import torch
from torch.nn import Parameter

from ngdiff.core import LeanStepLine, NonlinearOptimizerError, StepLine
from ngdiff.core.line import learning_rate, set_learning_rate

from .problems import LINEAR, NONLINEAR, Problem


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


def test_a_lean_line_leads_back_after_an_error():
    problem = Problem(LINEAR["adamw"])
    before = problem.snapshot()[0]

    def fail():
        with LeanStepLine(problem.optimizer) as line:
            line.settle(0.5)
            line.move_to(2.0)
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    assert all(torch.equal(a, b) for a, b in zip(before, problem.net.parameters(), strict=True))


def test_a_lean_line_without_a_rate_leads_back():
    problem = Problem(LINEAR["adamw"])
    before = problem.snapshot()[0]
    with LeanStepLine(problem.optimizer) as line:
        line.move_to(2.0)
    assert all(map(torch.equal, before, problem.net.parameters()))


@pytest.mark.parametrize("name", NONLINEAR)
def test_the_lean_line_refuses_what_the_exact_one_refuses(name):
    problem = Problem(NONLINEAR[name][0])
    before = problem.snapshot()
    with (
        pytest.raises(NonlinearOptimizerError, match="cannot be used with AutoLR"),
        LeanStepLine(problem.optimizer, check=True),
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


@pytest.mark.parametrize("shape", [(0, 3), (), (2, 3)])
def test_a_lean_line_over_weights_of_any_shape(shape):
    weights = torch.arange(6.0)[: torch.Size(shape).numel()].reshape(shape)
    p = Parameter(weights.clone())
    p.grad = torch.ones(shape)
    with LeanStepLine(torch.optim.SGD([p], lr=0.1)) as line:
        line.move_to(0.5)
        torch.testing.assert_close(p.detach(), weights - 0.5, rtol=0, atol=0)
    assert torch.equal(p.detach(), weights)
