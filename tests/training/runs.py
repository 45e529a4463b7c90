"""What tests look at in a run: weights, gradients, log lines, inputs of the model; when two runs are the same."""

from dataclasses import fields

import pytest
import torch
from transformers import TrainerCallback

from ngdiff.training import UnlearnConfig

# Renamed within transformers 5; the old name warns where the new one is there.
_names = {field.name for field in fields(UnlearnConfig)}
CHECKPOINTING = "activation_checkpointing" if "activation_checkpointing" in _names else "gradient_checkpointing"
# A run whose steps are proportional to its gradients.
FIXED = {"optim": "sgd", "learning_rate": 1e-2}


class Grab(TrainerCallback):
    """Copies of the final gradients of every step."""

    def __init__(self):
        self.gradients = []

    def on_pre_optimizer_step(self, args, state, control, model=None, **kwargs):
        self.gradients.append({n: None if p.grad is None else p.grad.clone() for n, p in model.named_parameters()})


def flat(model) -> torch.Tensor:
    """All weights in one row."""
    return torch.cat([p.detach().reshape(-1) for p in model.parameters()])


def steps(trainer) -> list[dict]:
    """Log lines of steps."""
    return [row for row in trainer.state.log_history if "loss_forget" in row]


def same_run(one, other, start: torch.Tensor, tolerance: float) -> None:
    """Weights equal up to a part of how far they moved, and every figure of the log."""
    moved = (flat(one.model) - start).norm()
    assert moved > 0
    assert (flat(one.model) - flat(other.model)).norm() <= tolerance * moved
    for a, b in zip(steps(one), steps(other), strict=True):
        for name in ("loss_retain", "loss_forget", "objective_forget", "norm_retain", "norm_forget"):
            assert a[name] == pytest.approx(b[name], rel=1e-5, abs=1e-5)  # a KL starts at nothing but rounding


def inputs_of(model) -> list[dict]:
    """What the model will be given, pass by pass."""
    seen = []
    model.register_forward_pre_hook(lambda module, args, inputs: seen.append(inputs), with_kwargs=True)
    return seen


def first_gradient(make_trainer, model, **options) -> tuple[torch.Tensor, dict]:
    """The combined gradient of the first step, in one row, and its log line."""
    grab = Grab()
    settings = {"max_steps": 1, "learning_rate": 1e-3, "callbacks": [grab], **options}
    trainer = make_trainer(model, **settings)
    trainer.train()
    (log,) = steps(trainer)
    return torch.cat([g.reshape(-1) for g in grab.gradients[0].values()]).double(), log


def distance(one: torch.Tensor, other: torch.Tensor) -> float:
    """Relative to the length of the other."""
    return float((one - other).norm() / other.norm())
