"""Optimizers that find their own step size, or need no schedule: the other way to train without tuning a rate.

They come from the libraries of their authors, as the extra `ngdiff[optimizers]`.
"""

import contextlib
import io
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from ngdiff.errors import InputError

if TYPE_CHECKING:
    from torch.optim import Optimizer

# As `torch.optim` takes them: tensors, or groups of them.
Parameters = Iterable[Any]

_OWN_STEP = (
    "it finds its own step size from the gradients it has seen, so that a step is not proportional to the learning "
    "rate; leave --learning-rate out or give a factor of its step size, such as 1.0"
)
_AVERAGE = (
    "its step also moves the weights towards an average of earlier ones, so that it is not proportional to the "
    "learning rate; give --learning-rate as a number"
)


@dataclass(frozen=True, slots=True)
class OptimizerRow:
    """An optimizer by name.

    Args:
        factory: `(parameters, *, learning_rate, weight_decay) -> Optimizer`; imports its library.
        package: What must be installed.
        formula: What it does, and its source.
        learning_rate: Default. Of those that find their step size it is a factor of it.
        rate: Rate of the next step, from a parameter group: what compares with a learning rate of AdamW or SGD.
        not_autolr: Why it cannot be combined with AutoLR.
        averages: Whether the weights to use are an average, which the model holds only after `optimizer.eval()`;
            gradients are taken after `optimizer.train()`.
    """

    factory: Callable[..., "Optimizer"]
    package: str
    formula: str
    learning_rate: float
    rate: Callable[[Mapping[str, Any]], float]
    not_autolr: str
    averages: bool = False


def make_optimizer(
    name: str, parameters: Parameters, *, learning_rate: float | None = None, weight_decay: float = 0.0
) -> "Optimizer":
    """The optimizer of that name.

    What a trainer has to do with it:

    - Refuse it together with AutoLR: `OPTIMIZERS[name].not_autolr` says why.
    - Where `OPTIMIZERS[name].averages`: `optimizer.train()` before the gradients of a step, `optimizer.eval()` before
      the weights are evaluated or saved for use. `transformers.Trainer` does the former in every `training_step` and
      the latter in `evaluate`, but not when it saves: call `eval()` after the last step, before the final model is
      written. Checkpoints resume exactly either way: the optimizer's state says which weights the model held.
    - Give all groups one learning rate (or 0), which the first three require.
    - Log `step_rate(name, optimizer)`: `group["lr"]` is no step size here.

    Combined gradients: nothing in these is invalid for `w_r g_r + w_f g_f`, but what Prodigy and D-Adaptation prove is
    for the gradients of one function with a minimum. Weights that change from step to step make it no such gradient,
    and a forget loss without a ceiling has no minimum: their estimate of the distance never falls and may grow with
    it.

    Args:
        name: A key of `OPTIMIZERS`.
        parameters: Tensors or groups, as for `torch.optim`.
        learning_rate: None for the optimizer's own default.
        weight_decay: Decoupled; coupled (L2) in `dadapt-sgd`, which has no other.

    Raises:
        InputError: no such optimizer, a package that is not installed, a learning rate that is not above 0 or a weight
            decay below 0.
    """
    check_optimizer_name(name)
    row = OPTIMIZERS[name]
    rate = row.learning_rate if learning_rate is None else learning_rate
    if not 0.0 < rate < float("inf"):
        raise InputError(f"--learning-rate {rate:g} is not a positive number")
    if not 0.0 <= weight_decay < float("inf"):
        raise InputError(f"--weight-decay {weight_decay:g} is not a number from 0 up")
    try:
        # Two of the libraries print a line when weight decay is on.
        with contextlib.redirect_stdout(io.StringIO()):
            return row.factory(parameters, learning_rate=rate, weight_decay=weight_decay)
    except ImportError as error:
        raise InputError(
            f'--optimizer {name}: needs the package {row.package}: pip install "ngdiff[optimizers]"'
        ) from error


def check_optimizer_name(name: str) -> None:
    """Refuse what is no optimizer of `OPTIMIZERS`.

    Raises:
        InputError: names it.
    """
    if name not in OPTIMIZERS:
        raise InputError(f"--optimizer {name}: no such optimizer; there are {', '.join(OPTIMIZERS)}")


def step_rate(name: str, optimizer: "Optimizer") -> float:
    """The largest rate of the next step over the groups, comparable with a learning rate of AdamW or SGD."""
    return max(OPTIMIZERS[name].rate(group) for group in optimizer.param_groups)


def _prodigy(parameters: Parameters, *, learning_rate: float, weight_decay: float) -> "Optimizer":
    from prodigyopt import Prodigy

    return Prodigy(parameters, lr=learning_rate, weight_decay=weight_decay)


def _dadapt_adam(parameters: Parameters, *, learning_rate: float, weight_decay: float) -> "Optimizer":
    from dadaptation import DAdaptAdam

    return DAdaptAdam(parameters, lr=learning_rate, weight_decay=weight_decay, decouple=True)


def _dadapt_sgd(parameters: Parameters, *, learning_rate: float, weight_decay: float) -> "Optimizer":
    from dadaptation import DAdaptSGD

    class FromFirstGradient(DAdaptSGD):
        """The library divides by the norm of the first gradient: it starts at the first one that is not zero."""

        def step(self, closure: Any = None) -> Any:
            started = self.param_groups[0]["k"] > 0
            gradients = (p.grad for group in self.param_groups for p in group["params"] if p.grad is not None)
            if started or any(bool(g.any()) for g in gradients):
                return super().step(closure)
            return None

    return FromFirstGradient(parameters, lr=learning_rate, weight_decay=weight_decay)


def _schedule_free_adamw(parameters: Parameters, *, learning_rate: float, weight_decay: float) -> "Optimizer":
    from schedulefree import AdamWScheduleFree

    return AdamWScheduleFree(parameters, lr=learning_rate, weight_decay=weight_decay)


def _schedule_free_sgd(parameters: Parameters, *, learning_rate: float, weight_decay: float) -> "Optimizer":
    from schedulefree import SGDScheduleFree

    return SGDScheduleFree(parameters, lr=learning_rate, weight_decay=weight_decay)


OPTIMIZERS: dict[str, OptimizerRow] = {
    "prodigy": OptimizerRow(
        _prodigy,
        "prodigyopt",
        "Adam with step size d, a growing lower bound of the distance to the solution (Mishchenko and Defazio 2024)",
        learning_rate=1.0,
        rate=lambda group: group["d"] * group["lr"],
        not_autolr=_OWN_STEP,
    ),
    "dadapt-adam": OptimizerRow(
        _dadapt_adam,
        "dadaptation",
        "Adam with step size d, an earlier form of that bound (Defazio and Mishchenko 2023)",
        learning_rate=1.0,
        rate=lambda group: group["d"] * group["lr"],
        not_autolr=_OWN_STEP,
    ),
    "dadapt-sgd": OptimizerRow(
        _dadapt_sgd,
        "dadaptation",
        "SGD with step size d over the norm of the first gradient (Defazio and Mishchenko 2023)",
        learning_rate=1.0,
        # Before the first step there is no gradient yet.
        rate=lambda group: group["d"] * group["lr"] / group.get("g0_norm", 1.0),
        not_autolr=_OWN_STEP,
    ),
    "schedule-free-adamw": OptimizerRow(
        _schedule_free_adamw,
        "schedulefree",
        "AdamW whose weights are averaged, in place of a schedule (Defazio et al. 2024)",
        learning_rate=0.0025,
        rate=lambda group: group["lr"],
        not_autolr=_AVERAGE,
        averages=True,
    ),
    "schedule-free-sgd": OptimizerRow(
        _schedule_free_sgd,
        "schedulefree",
        "SGD whose weights are averaged, in place of a schedule (Defazio et al. 2024)",
        learning_rate=1.0,
        rate=lambda group: group["lr"],
        not_autolr=_AVERAGE,
        averages=True,
    ),
}
