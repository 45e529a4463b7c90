"""The pass of one side: the forward pass over a micro-batch, and the side's objective."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor, nn

from ngdiff.core import Answers
from ngdiff.core.slots import Side
from ngdiff.objectives import Objective
from ngdiff.tasks import Task
from ngdiff.tasks.alternates import side_by_side, split_rows
from ngdiff.training.compared import Compared


@dataclass(frozen=True)
class PassLoss:
    """The losses of one pass of one side.

    Args:
        loss: This micro-batch's and process's share of the side's objective, with its graph; times the number of
            processes, which average their gradients.
        objective: The share itself, without graph.
        nll: The share of the side's mean cross-entropy a token, without graph, in nats.
    """

    loss: Tensor
    objective: Tensor
    nll: Tensor


class ObjectivePass:
    """Forward passes and objectives of both sides.

    Args:
        task: Provides the forward pass.
        objectives: Of both sides.
        compared: Outputs of other models for the rows.
        model: The model without wrappers, for the number of its layers.
        processes: Number of processes that share a step.
        autocast: Precision of the run.
    """

    def __init__(
        self,
        task: Task,
        objectives: Mapping[Side, Objective],
        compared: Compared,
        *,
        model: nn.Module,
        processes: int,
        autocast: Callable[[], AbstractContextManager[Any]],
    ) -> None:
        self._task, self._objectives, self._compared = task, objectives, compared
        self._processes, self._autocast = processes, autocast
        self._layers = {side: _layer(objective, model) for side, objective in objectives.items()}

    def __call__(
        self, model: nn.Module, batch: Mapping[str, Any], side: Side, *, units: Tensor, tokens: Tensor
    ) -> PassLoss:
        """Sum of the objective over the micro-batch, divided by the count of its unit in the whole effective batch.

        Args:
            model: The model in training.
            batch: Of the task, on the model's device.
            side: The side of the batch.
            units: Number of the objective's units in all micro-batches of the step and processes.
            tokens: Number of answer tokens in the same.
        """
        answers = self._answers(model, batch, side)
        # Processes average their gradients, each divided by the global count: the product undoes the average.
        # A batch without any unit, in no process: 0 and not 0 / 0.
        loss = self._objectives[side](answers) * self._processes / units.clamp(min=1)
        if self._processes > 1:
            # An objective on hidden states does not use the layers above, but DDP waits for gradients of all weights.
            loss = loss + 0.0 * answers.nll.sum()
        nll = answers.nll.detach().sum() / tokens.clamp(min=1)
        return PassLoss(loss, loss.detach() / self._processes, nll)

    def _answers(self, model: nn.Module, batch: Mapping[str, Any], side: Side) -> Answers:
        """The forward pass over one batch, with everything that the side's objective needs."""
        objective, forward = self._objectives[side], self._task.forward
        other = batch.get("alternate")
        if other is None:
            return self._compare(side, batch, forward(model, batch, objective.needs, self._layers[side]))
        if not objective.own_answers:  # their losses are only logged and compared with the ceiling
            with torch.no_grad():
                answers = forward(model, batch)
            return replace(answers, alternate=forward(model, other))
        rows = batch["labels"].shape[0]
        own, alternate = split_rows(forward(model, side_by_side(dict(batch), other), objective.needs), rows)
        alternate = self._compare("alternate", other, alternate)
        return replace(self._compare(side, batch, own), alternate=alternate)

    def _compare(self, name: str, batch: Mapping[str, Any], answers: Answers) -> Answers:
        with torch.no_grad(), self._autocast():
            return self._compared.attach(name, batch, answers)


def _layer(objective: Objective, model: nn.Module) -> int | None:
    """Number of the layer whose hidden states the objective needs."""
    if objective.layer is None or "hidden" not in objective.needs:
        return None
    config = cast(Any, model).config.get_text_config(decoder=True)
    return objective.layer(int(config.num_hidden_layers))
