"""Lines along the optimizer's next step that let it take that step for good.

`LeanStepLine` keeps what the measuring step did to the optimizer's state, and needs a third of the memory of a
`StepLine`; `InPlaceStepLine` does not even keep `d`, and takes half the passes over the memory.
"""

import math
from collections.abc import Hashable
from types import TracebackType
from typing import Any, Self, cast

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim import Optimizer

from ngdiff.core.line import MEASURING_RATE, NonlinearOptimizerError, StepLine, copied, learning_rate, set_learning_rate
from ngdiff.core.pages import large_pages
from ngdiff.core.shards import is_sharded, local
from ngdiff.core.step_hooks import no_step_hooks

# Largest rate of the first step of a copy.
_TRIAL_RATE = 1.0


class UncopiableOptimizerError(NonlinearOptimizerError):
    """No optimizer of the same kind can be made anew, so that its step cannot be tried on other weights."""


class LeanStepLine(StepLine):
    """A `StepLine` whose measuring step is the step of the run.

    On leaving it the weights are `theta_0 - eta d`, with `eta` the rate of `settle`; the optimizer's state is that
    after its step; gradients are gone, so that the optimizer's next `step()` changes nothing. Memory beyond weights,
    gradients and optimizer state: once the weights (`theta_0`), less what `spare` has; `d` lies where the gradients
    were. In fp32 the weights differ from those of a step at `eta` by rounding, some 2e-7 of the step; in bf16 `d` is
    rounded once more, by up to 2^-9.

    After an error within, the weights are what they were, but the optimizer's state has moved on and the gradients are
    gone.

    Args:
        optimizer: Any torch optimizer whose step is linear in the learning rate.
        check: Look whether it is, on a copy of the optimizer with a few weights of its own.
        origin_device: Where `theta_0` waits; None: where the weights are. On the host it takes no memory of the
            accelerator, and comes over once for each loss of a probe.
        spare: Tensors whose values nobody needs any more, as those of spent gradients: `theta_0` is kept in those that
            are like a weight, as on a CPU new memory is dear. The list is empty afterwards.

    Raises:
        NonlinearOptimizerError: the check failed.
        UncopiableOptimizerError: no such copy can be made.

    Example:
        >>> p = Parameter(torch.tensor([1.0]))
        >>> p.grad = torch.tensor([2.0])
        >>> with LeanStepLine(torch.optim.SGD([p], lr=0.1)) as line:
        ...     line.settle(0.25)
        >>> p.item(), p.grad
        (0.5, None)
    """

    # Not divided by it entry by entry: a pass over the memory. Steps longer than 1e16 count as infinite for that.
    _unit = 1.0 / MEASURING_RATE

    def __init__(
        self,
        optimizer: Optimizer,
        *,
        check: bool = False,
        origin_device: torch.device | str | None = None,
        spare: list[Tensor] | None = None,
    ) -> None:
        super().__init__(optimizer, check=check)
        self._origin_device = origin_device
        self._spare: dict[Hashable, list[Tensor]] = {}
        while spare:
            tensor = spare.pop()
            if origin_device is None and not is_sharded(tensor):
                self._spare.setdefault(_likeness(tensor), []).append(tensor)

    def __enter__(self) -> Self:
        super().__enter__()
        self._spare = {}
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave(0.0 if error is not None or self._settled is None else self._settled)

    def _kept(self, weight: Tensor) -> Tensor:
        if self._origin_device is not None:
            return weight.to(self._origin_device, copy=True)
        if spare := self._spare.get(_likeness(weight)):
            return spare.pop().copy_(weight)
        plain = type(weight) is Tensor and weight.device.type == "cpu" and weight.numel()
        return _copy_in_large_pages(weight) if plain else weight.clone()

    def _measure(self) -> list[Tensor]:
        self._take_step(MEASURING_RATE)
        direction = []
        with torch.no_grad():
            for p, origin in zip(self._parameters, self._origin, strict=True):
                d = p.grad
                assert d is not None
                torch.sub(local(origin).to(p.device), local(p), out=local(d))
                direction.append(d)
                p.grad = None
        return direction

    def _take_step(self, rate: float) -> None:
        """The optimizer's step, for good."""
        if self._check:
            check_on_copy(self._optimizer)
        try:
            self._step(rate)
        except BaseException:
            self._restore_weights()
            raise
        finally:
            self._restore_rates()


class InPlaceStepLine(LeanStepLine):
    """A `LeanStepLine` that keeps no `d`: to move, the weights' own distance from `theta_0` is scaled.

    `theta_0 - rho' d = theta_0 + (rho' / rho) (theta - theta_0)`, where the weights `theta` are at `rho`. A probe of
    one parabola moves 8 times the memory of the weights beside the optimizer's step, with a `LeanStepLine` 15 times.
    Memory beyond weights, gradients and optimizer state: once the weights, less what `spare` has.

    The measuring step is one at the optimizer's own rate, rounded as every such step is, and `d` inherits that: at rate
    `eta` it is known to about `eps |theta_0| / (eta |d|)` of itself, and a little less after each move (`rounding`
    gives `eps`). So this is for rates at which a step is far longer than the rounding of the weights. `step_norm` is
    not measured (nan).

    Args:
        optimizer, check, origin_device, spare: As for `LeanStepLine`.

    Raises:
        NonlinearOptimizerError, UncopiableOptimizerError: As for `LeanStepLine`.

    Example:
        >>> p = Parameter(torch.tensor([1.0]))
        >>> p.grad = torch.tensor([2.0])
        >>> with InPlaceStepLine(torch.optim.SGD([p], lr=0.5)) as line:
        ...     line.move_to(-0.5)
        ...     line.settle(0.25)
        >>> p.item(), p.grad
        (0.5, None)
    """

    def __enter__(self) -> Self:
        self._at = learning_rate(self._optimizer)  # the weights are at `theta_0 - at d`
        super().__enter__()
        self.step_norm = math.nan
        return self

    @torch.no_grad()
    def move_to(self, rho: float) -> None:
        """Set the weights to `theta_0 - rho d`. 0 gives the exact `theta_0`, from which no move leads away again."""
        if rho == self._at:
            return
        if rho == 0.0:
            self._restore_weights()
        elif self._at == 0.0:
            raise ValueError(f"the weights are at theta_0: nothing is known of the way to theta_0 - {rho:g} d")
        else:
            ratio = rho / self._at
            for p, kept in zip(self._parameters, self._origin, strict=True):
                weight = local(p)
                origin = local(kept).to(weight.device)
                if abs(ratio) > 0.5:
                    weight.lerp_(origin, 1.0 - ratio)
                else:  # `1 - ratio` would have too few of its digits
                    weight.sub_(origin).mul_(ratio).add_(origin)
        self._at = rho

    def _measure(self) -> list[Tensor]:
        self._take_step(self._at)
        for p in self._parameters:
            p.grad = None
        return []


def rounding(optimizer: Optimizer) -> float:
    """Relative rounding of the weights that are about to move, the largest of their types' (fp32: 1.2e-7)."""
    weights = [p for group in optimizer.param_groups for p in group["params"] if p.grad is not None]
    return max((torch.finfo(p.dtype).eps for p in weights), default=math.inf)


def check_on_copy(optimizer: Optimizer) -> None:
    """`StepLine`'s check of an optimizer of the same kind and settings over a few weights, in its second step.

    Raises:
        NonlinearOptimizerError: it failed.
        UncopiableOptimizerError: the optimizer cannot be made anew.
    """
    generator = torch.Generator().manual_seed(0)
    groups = []
    for group in optimizer.param_groups:
        like = next((p for p in group["params"] if p.grad is not None), None)
        if like is None:
            continue
        p = Parameter(torch.randn(64, generator=generator).to(like.device, like.dtype))
        groups.append({name: copied(value) for name, value in group.items() if name != "params"} | {"params": [p]})
    parameters = [group["params"][0] for group in groups]
    try:
        copy = cast(Any, type(optimizer))(groups)  # a group holds all settings
    except (TypeError, ValueError) as error:
        raise UncopiableOptimizerError(
            f"{type(optimizer).__name__} cannot be used with AutoLR in its lean form: whether its step is proportional "
            f"to the learning rate is tried on a copy, which cannot be made ({error}); use --autolr-memory exact"
        ) from error
    if learning_rate(copy) > _TRIAL_RATE:  # its weights shall stay what their numbers resolve
        set_learning_rate(copy, _TRIAL_RATE)
    for _ in range(2):
        for p in parameters:
            p.grad = torch.randn(64, generator=generator).to(p.device, p.dtype)
        with StepLine(copy, check=True):
            pass
        with no_step_hooks(copy):  # of all optimizers
            copy.step()


def _likeness(tensor: Tensor) -> Hashable:
    """What two tensors have in common of which one may take the other's memory."""
    return type(tensor), tensor.device, tensor.dtype, tensor.shape, tensor.stride()


def _copy_in_large_pages(weight: Tensor) -> Tensor:
    """A copy on the host."""
    memory = torch.frombuffer(large_pages(weight.nbytes), dtype=weight.dtype)
    return memory.view(weight.shape).copy_(weight)
