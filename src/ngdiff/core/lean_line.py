"""A line along the optimizer's next step on which that step is also taken.

`LeanStepLine` does not undo what the measuring step did to the optimizer's state, and so needs a third of the memory of
a `StepLine`.
"""

from types import TracebackType
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn import Parameter
from torch.optim import Optimizer

from ngdiff.core.line import MEASURING_RATE, NonlinearOptimizerError, StepLine, copied, learning_rate, set_learning_rate
from ngdiff.core.shards import local
from ngdiff.core.step_hooks import no_step_hooks

# Largest rate of the first step of a copy.
_TRIAL_RATE = 1.0


class UncopiableOptimizerError(NonlinearOptimizerError):
    """No second optimizer of the same kind can be made, so its step cannot be tried on other weights."""


class LeanStepLine(StepLine):
    """A `StepLine` whose measuring step is the step of the run.

    On exit the weights are `theta_0 - eta d`, with `eta` the rate of `settle`; the optimizer's state is that after its
    step; gradients are None, so that the optimizer's next `step()` changes nothing. Memory beyond weights, gradients
    and optimizer state: once the weights (`theta_0`); `d` is stored in place of the gradients. In fp32 the weights
    differ from those of a step at `eta` by rounding, some 2e-7 of the step; in bf16 `d` is rounded once more, by up to
    2^-9.

    After an error the weights are what they were, but the optimizer's state has advanced and the gradients are gone.

    Args:
        optimizer: Any torch optimizer whose step is linear in the learning rate.
        check: Check that it is, on a copy of the optimizer with a few weights of its own.
        origin_device: Where `theta_0` is kept; None: where the weights are. On the host it takes no accelerator memory,
            and is transferred once for each loss of a probe.

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

    # Saves a pass over the memory that divides each entry, but steps longer than 1e16 count as infinite.
    _unit = 1.0 / MEASURING_RATE

    def __init__(
        self,
        optimizer: Optimizer,
        *,
        check: bool = False,
        origin_device: torch.device | str | None = None,
    ) -> None:
        super().__init__(optimizer, check=check)
        self._origin_device = origin_device

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._leave(0.0 if error is not None or self._settled is None else self._settled)

    def _copy_as_origin(self, weight: Tensor) -> Tensor:
        if self._origin_device is not None:
            return weight.to(self._origin_device, copy=True)
        return weight.clone()

    def _measure(self) -> list[Tensor]:
        if self._check:
            check_on_copy(self._optimizer)
        try:
            self._step(MEASURING_RATE)
        except BaseException:
            self._restore_weights()
            raise
        finally:
            self._restore_rates()
        direction = []
        with torch.no_grad():
            for p, origin in zip(self._parameters, self._origin, strict=True):
                d = p.grad
                assert d is not None
                torch.sub(local(origin).to(p.device), local(p), out=local(d))
                direction.append(d)
                p.grad = None
        return direction


def check_on_copy(optimizer: Optimizer) -> None:
    """`StepLine`'s check of an optimizer of the same kind and settings over a few weights, in its second step.

    Raises:
        NonlinearOptimizerError: it failed.
        UncopiableOptimizerError: no second optimizer of the same kind can be made.
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
