"""Hooks of an optimizer's step: once for each step of the run, whatever is probed in between."""

import pytest
import torch
from torch.nn import Parameter
from torch.optim.optimizer import register_optimizer_step_post_hook

from ngdiff.core.lean_line import LeanStepLine
from ngdiff.core.line import StepLine
from ngdiff.core.step_hooks import call_pre_hooks

LINES = [StepLine, LeanStepLine]


def step(line_kind, optimizer, gradient, *, check=False, rate=0.25):
    """A step of a run that is probed: rho 0.5 first, then the rate is set."""
    (p,) = optimizer.param_groups[0]["params"]
    p.grad = torch.tensor(gradient)
    with line_kind(optimizer, check=check) as line:
        line.move_to(0.5)
        line.settle(rate)
    optimizer.step()


def sgd(value=4.0):
    return torch.optim.SGD([Parameter(torch.tensor([value]))], lr=1.0)


@pytest.mark.parametrize("check", [False, True])
@pytest.mark.parametrize("kind", LINES)
def test_post_hooks_see_the_final_weights_once(kind, check):
    optimizer, seen, everywhere = sgd(), [], []
    (p,) = optimizer.param_groups[0]["params"]
    optimizer.register_step_post_hook(lambda *_: seen.append((p.item(), optimizer.param_groups[0]["lr"])))
    handle = register_optimizer_step_post_hook(lambda *_: everywhere.append(p.item()))
    try:
        step(kind, optimizer, [2.0], check=check)
        step(kind, optimizer, [4.0])
    finally:
        handle.remove()
    assert seen == [(3.5, 0.25), (2.5, 0.25)]
    assert everywhere == [3.5, 2.5]


@pytest.mark.parametrize("kind", LINES)
def test_pre_hooks_change_gradients_once_and_the_measured_step_knows(kind):
    optimizer, seen = sgd(), []
    (p,) = optimizer.param_groups[0]["params"]

    def halve(opt, args, kwargs):
        seen.append(opt.param_groups[0]["lr"])
        p.grad /= 2

    handle = optimizer.register_step_pre_hook(halve)
    step(kind, optimizer, [2.0], check=True)
    assert p.item() == 3.75  # 4 - 0.25 * 1
    step(kind, optimizer, [8.0])
    assert p.item() == 2.75
    p.grad = torch.tensor([4.0])  # a step without a probe
    optimizer.step()
    assert p.item() == 2.25
    assert seen == [1.0, 0.25, 0.25]  # never that of the measuring step
    handle.remove()
    step(kind, optimizer, [1.0])
    assert p.item() == 2.0
    assert len(seen) == 3


def test_hooks_can_be_removed_and_added_between_the_probe_and_the_step():
    optimizer, seen = sgd(), []
    (p,) = optimizer.param_groups[0]["params"]
    optimizer.register_step_pre_hook(lambda *_: seen.append("first"))
    after = optimizer.register_step_post_hook(lambda *_: seen.append("after"))
    p.grad = torch.ones(1)
    call_pre_hooks(optimizer)
    optimizer.register_step_pre_hook(lambda *_: seen.append("later"))
    after.remove()
    optimizer.step()
    assert seen == ["first", "later"]
    optimizer.step()
    assert seen == ["first", "later", "first", "later"]


def test_hooks_that_hand_arguments_on_are_refused():
    optimizer = sgd()
    (p,) = optimizer.param_groups[0]["params"]
    p.grad = torch.ones(1)
    optimizer.register_step_pre_hook(lambda opt, args, kwargs: (args, kwargs))
    with pytest.raises(TypeError, match="returns arguments for step"), StepLine(optimizer):
        pass
    assert p.item() == 4.0


def test_no_hook_is_added_where_there_are_none():
    optimizer = sgd()
    step(StepLine, optimizer, [1.0])
    assert not optimizer._optimizer_step_post_hooks
    assert not optimizer._optimizer_step_pre_hooks
