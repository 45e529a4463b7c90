"""One step of unlearning: both passes, their Gramian, the weights, the combination, and a report of it all.

Retain and forget passes run one after the other, with only one graph alive; after the last micro-batch the Gramian of
the two gradients goes to the weighting, and both are combined in place (`ngdiff.training.gradients`).
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn

from ngdiff.core.slots import SIDES, Side
from ngdiff.training.gradients import Batches, Gradients, Pass
from ngdiff.training.moments import Observer
from ngdiff.training.objective_pass import ObjectivePass
from ngdiff.training.weighing import Weigher
from ngdiff.weighting import Losses


@dataclass(frozen=True)
class StepReport:
    """What a step found, before the optimizer moves.

    Args:
        number: Of the step, from 1.
        figures: The numbers for its log line: losses, objectives, norms and weights of both sides, cosine, ...
        combined_norm: `|w_r g_r + w_f g_f|`, from the inner products; None if `g_r . g_f` is not known, or a rule chose
            among their entries.
        idle: Why the weights do not move; empty if they do.
        asked_to_stop: Number of processes that were asked to stop by the time the losses were summed.
    """

    number: int
    figures: Mapping[str, float]
    combined_norm: float | None
    idle: str
    asked_to_stop: float

    @property
    def retain_loss(self) -> float:
        """Mean cross-entropy a token of the step's retain rows, in nats."""
        return self.figures["loss_retain"]


class TwoGradientStep:
    """Takes the steps of a run, one after the other: `add` for each micro-batch, `finish` after the last one.

    Both call `run(side, batch, factor)` for each pass; it calls `loss` and takes the backward pass of the result.

    Args:
        objective_pass: The objectives of both sides.
        gradients: Buffers of both gradients.
        weigher: From losses and Gramian to weights.
        state: Of the weighting; it changes with each step.
        global_sum: Sum of a tensor over all processes.
        observe: The observer of the run.
    """

    def __init__(
        self,
        objective_pass: ObjectivePass,
        gradients: Gradients,
        weigher: Weigher,
        *,
        state: dict[str, Any],
        global_sum: Callable[[Tensor], Tensor],
        observe: Observer,
    ) -> None:
        self._objective_pass, self._gradients, self._weigher = objective_pass, gradients, weigher
        self._state, self._global_sum, self._observe = state, global_sum, observe
        self._losses = _Losses()

    def add(self, batches: Batches, run: Pass) -> None:
        """One micro-batch of both sides."""
        with self._observe("micro-batch"):
            self._gradients.add(batches, self._observed(run))

    def loss(
        self, model: nn.Module, batch: Mapping[str, Any], side: Side, factor: float, counts: Mapping[str, Tensor]
    ) -> Tensor:
        """What a pass differentiates: the micro-batch's share of the side's objective, times a factor.

        Args:
            model: As it is trained.
            batch: Of one side, on the model's device.
            side: Whose it is.
            factor: Of the objective.
            counts: Of units, answer tokens and protected tokens in the whole effective batch.
        """
        found = self._objective_pass(model, batch, side, counts)
        self._losses.add(side, found.nll, found.objective)
        return found.loss if factor == 1.0 else found.loss * factor

    def finish(self, run: Pass, *, number: int, asked_to_stop: bool) -> StepReport:
        """Combine the gradients: `.grad` is `w_r g_r + w_f g_f`, or None everywhere where both weights are 0.

        Args:
            run: Takes a pass.
            number: Of the step, from 1.
            asked_to_stop: Whether this process was.

        Raises:
            FloatingPointError: a loss or gradient that is not finite; nothing has moved.
        """
        run = self._observed(run)
        with self._observe("combination of the gradients"):
            both = self._gradients.take(run)
            token_losses, objective_losses, asked = self._losses.everywhere(self._global_sum, asked_to_stop)
            weighed = self._weigher.weigh(
                both.products,
                token_losses=token_losses,
                objective_losses=objective_losses,
                step=number,
                state=self._state,
            )
            both.combine(weighed.weights, run)
        self._losses = _Losses()  # one buffer takes the forget pass once more after the weights are known
        figures, norm = weighed.figures, None
        if both.entries is not None:
            figures |= {f"entries_{side}": part for side, part in both.entries.items()}
        elif self._weigher.knows_cosine:
            norm = both.products.norm_of(*weighed.weights)
        return StepReport(number, figures, norm, weighed.idle, asked)

    def _observed(self, run: Pass) -> Pass:
        def observed(side: Side, batch: Any, factor: float) -> None:
            with self._observe("retain pass" if side == "retain" else "forget pass"):
                run(side, batch, factor)

        return observed


class _Losses:
    """Sums of a step over its micro-batches, of this process."""

    def __init__(self) -> None:
        self._nll: dict[Side, Tensor | float] = dict.fromkeys(SIDES, 0.0)
        self._objective: dict[Side, Tensor | float] = dict.fromkeys(SIDES, 0.0)

    def add(self, side: Side, nll: Tensor, objective: Tensor) -> None:
        self._nll[side] = self._nll[side] + nll
        self._objective[side] = self._objective[side] + objective

    def everywhere(self, global_sum: Callable[[Tensor], Tensor], asked_to_stop: bool) -> tuple[Losses, Losses, float]:
        """Cross-entropy a token and objective of both sides, and how many processes were asked to stop: one sum."""
        sums = [cast(Tensor, found[side]) for found in (self._nll, self._objective) for side in SIDES]
        losses = [value.to(torch.promote_types(value.dtype, torch.float32)) for value in sums]
        asked = torch.full((), float(asked_to_stop), device=losses[0].device)
        first, second, third, fourth, processes = global_sum(torch.stack([*losses, asked])).tolist()
        return Losses(first, second), Losses(third, fourth), processes
