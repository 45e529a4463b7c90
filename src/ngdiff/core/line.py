"""The line `theta_0 - rho d` along which an optimizer is about to step.

`d` is whatever the optimizer makes of the gradients in `.grad` (SGD: the gradient; Adam: the preconditioned
one, with decoupled weight decay), so one step at learning rate `eta` ends at `theta_0 - eta d`. It is measured
by letting the optimizer take one step, which is then undone bit for bit. `lean_line.py` keeps that step instead.
"""

import math
from types import TracebackType
from typing import Any, Self

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim import Optimizer

from ngdiff.core.shards import local, norm, true_on_every_rank
from ngdiff.core.step_hooks import call_pre_hooks, no_step_hooks
from ngdiff.errors import InputError

# The rate of the measuring step. Far above any useful one, so that `theta_0 - theta_1` keeps the digits of `d`
# even in bf16; a power of two, so that dividing by it is exact.
MEASURING_RATE = 1024.0

State = dict[Tensor, dict[str, Any]]  # of an optimizer, by parameter

# Largest relative difference between a step at twice the rate and twice the step, by dtype of the weights: their
# rounding, with a wide margin.
_LINEARITY_TOLERANCE = {torch.float64: 1e-6, torch.float32: 1e-3, torch.bfloat16: 5e-2}


class NonlinearOptimizerError(InputError):
    """The optimizer's step is not proportional to its learning rate, so no line `theta_0 - rho d` exists."""


def learning_rate(optimizer: Optimizer) -> float:
    """The largest learning rate of the parameter groups; the others keep their ratio to it."""
    return max(float(group["lr"]) for group in optimizer.param_groups)


def set_learning_rate(optimizer: Optimizer, rate: float) -> None:
    """Scale the learning rates of all groups by one factor, so that the largest becomes `rate`."""
    current = learning_rate(optimizer)
    for group in optimizer.param_groups:
        scaled = rate if float(group["lr"]) == current else float(group["lr"]) * (rate / current)
        if isinstance(group["lr"], Tensor):
            group["lr"].fill_(scaled)
        else:
            group["lr"] = scaled


class StepLine:
    """Move the weights along the optimizer's next step, and back.

    A context manager. On exit, also after an error, weights, optimizer state and gradients are what they were,
    bit for bit, and the learning rate is that of `settle`. Memory, beyond weights, gradients and optimizer state: twice
    the weights while open (`theta_0` and `d`); before, while the optimizer steps, `theta_0` and a copy of the optimizer
    state (with `check` two, and `d`). Sharded weights (FSDP2) move shard by shard; norms and checks are those of the
    whole. Hooks of the optimizer's step: see `step_hooks.py`.

    Args:
        optimizer: Any torch optimizer whose step is linear in the learning rate.
        check: Also take a step at twice the rate and compare. Once a run is enough.

    Raises:
        NonlinearOptimizerError: the check failed.

    Example:
        >>> p = Parameter(torch.tensor([1.0]))
        >>> p.grad = torch.tensor([2.0])
        >>> with StepLine(torch.optim.SGD([p], lr=0.1)) as line:
        ...     line.move_to(0.25)
        ...     moved = p.item()
        >>> moved, p.item(), line.step_norm
        (0.5, 1.0, 2.0)
    """

    _unit = 1.0  # `d` is what `_measure` returns times this

    def __init__(self, optimizer: Optimizer, *, check: bool = False) -> None:
        self._optimizer = optimizer
        self._check = check
        self._parameters: list[Parameter] = [
            p for group in optimizer.param_groups for p in group["params"] if p.grad is not None
        ]
        self._settled: float | None = None

    def __enter__(self) -> Self:
        call_pre_hooks(self._optimizer)
        self._origin = [self._copy_as_origin(p.detach()) for p in self._parameters]
        self._rates = [copied(group["lr"]) for group in self._optimizer.param_groups]
        self._direction = self._measure()
        self.step_norm = self._unit * norm(self._direction)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave(0.0)

    def _leave(self, rho: float) -> None:
        self.move_to(rho)
        if self._settled is not None:
            set_learning_rate(self._optimizer, self._settled)
        del self._origin, self._direction

    def weight_norm(self) -> float:
        """`|theta_0|`, while the line is open."""
        return norm(self._origin)

    @torch.no_grad()
    def move_to(self, rho: float) -> None:
        """Set the weights to `theta_0 - rho d`. `rho` may be negative; 0 gives the exact `theta_0`."""
        for p, kept, direction in zip(self._parameters, self._origin, self._direction, strict=True):
            weight, origin, d = local(p), local(kept), local(direction)
            if rho == 0.0:
                weight.copy_(origin)
            else:
                torch.add(origin.to(weight.device), d, alpha=-rho * self._unit, out=weight)

    def _copy_as_origin(self, weight: Tensor) -> Tensor:
        """A copy of weights, for `theta_0`."""
        return weight.clone()

    def settle(self, rate: float) -> None:
        """Set the learning rate that the optimizer has on exit, that of the group with the largest one."""
        self._settled = rate

    def _measure(self) -> list[Tensor]:
        """`d`; everything else is left unchanged."""
        state = snapshot(self._optimizer)
        direction = None
        try:
            try:
                self._step(MEASURING_RATE)
                if self._check:
                    direction = self._displacement(MEASURING_RATE)
                    self._check_linearity(state, direction)
            finally:
                restore_state(self._optimizer, state)
                self._restore_rates()
            del state  # before `d` takes as much memory again as the weights
            return self._displacement(MEASURING_RATE) if direction is None else direction
        finally:
            self._restore_weights()

    def _check_linearity(self, state: State, direction: list[Tensor]) -> None:
        """A step at twice the rate, from the same state: does it lead twice as far, and to the same state?"""
        after_one = snapshot(self._optimizer)
        self._restore_weights()
        restore_state(self._optimizer, state)
        self._step(2 * MEASURING_RATE)
        name = type(self._optimizer).__name__
        if not true_on_every_rank(_equal_state(after_one, self._optimizer.state), self._parameters):
            raise NonlinearOptimizerError(
                f"{name} cannot be used with AutoLR: the state that it keeps depends on the learning rate, so "
                "that a step cannot be probed at several rates; use a fixed --learning-rate or an optimizer "
                "such as AdamW or SGD"
            )
        del after_one
        twice = self._displacement(2 * MEASURING_RATE)
        error = norm([a.sub_(b) for a, b in zip(twice, direction, strict=True)])
        tolerance = max(_LINEARITY_TOLERANCE.get(p.dtype, 1e-3) for p in self._parameters)
        length = norm(direction)
        if math.isfinite(length) and not error <= tolerance * length:
            raise NonlinearOptimizerError(
                f"{name} cannot be used with AutoLR: its step is not proportional to the learning rate (at "
                f"twice the rate the direction differs by {error / length if length else math.inf:.1%}); use a "
                "fixed --learning-rate or an optimizer such as AdamW or SGD"
            )

    def _step(self, rate: float) -> None:
        set_learning_rate(self._optimizer, rate)
        try:
            with no_step_hooks(self._optimizer):
                self._optimizer.step()
        except TypeError as error:  # LBFGS and its kind: step() needs a closure
            raise NonlinearOptimizerError(
                f"{type(self._optimizer).__name__} cannot be used with AutoLR: its step() needs a closure "
                "and does its own search; use a fixed --learning-rate or an optimizer such as AdamW or SGD"
            ) from error

    @torch.no_grad()
    def _displacement(self, rate: float) -> list[Tensor]:
        """`(theta_0 - theta) / rate`."""
        return [origin.sub(p).div_(rate) for p, origin in zip(self._parameters, self._origin, strict=True)]

    def _restore_rates(self) -> None:
        for group, rate in zip(self._optimizer.param_groups, self._rates, strict=True):
            if isinstance(group["lr"], Tensor):
                group["lr"].copy_(rate)
            else:
                group["lr"] = rate

    @torch.no_grad()
    def _restore_weights(self) -> None:
        for p, origin in zip(self._parameters, self._origin, strict=True):
            local(p).copy_(local(origin))


def copied(value: Any) -> Any:
    return value.detach().clone() if isinstance(value, Tensor) else value


def snapshot(optimizer: Optimizer) -> State:
    """A copy of an optimizer's state."""
    return {p: {k: copied(v) for k, v in state.items()} for p, state in optimizer.state.items()}


@torch.no_grad()
def restore_state(optimizer: Optimizer, snapshot: State) -> None:
    """Put back the state of a `snapshot`, bit for bit, into the tensors that are there."""
    for parameter in list(optimizer.state):
        if parameter not in snapshot:  # before the first step there is no state at all
            del optimizer.state[parameter]
            continue
        state, saved = optimizer.state[parameter], snapshot[parameter]
        for key in list(state):
            if key not in saved:
                del state[key]
        for key, value in saved.items():
            if isinstance(value, Tensor) and isinstance(state.get(key), Tensor):
                local(state[key]).copy_(local(value))
            else:
                state[key] = copied(value)


def _equal_state(one: State, other: State) -> bool:
    return one.keys() == other.keys() and all(
        one[p].keys() == other[p].keys()
        and all(
            torch.equal(local(v), local(other[p][k])) if isinstance(v, Tensor) else v == other[p][k]
            for k, v in one[p].items()
        )
        for p in one
    )
