"""The pass of one side: the forward pass over a micro-batch, and the side's objective."""

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor, nn

from ngdiff.core import Answers
from ngdiff.core.slots import Side
from ngdiff.objectives import RETAIN_OBJECTIVES, Objective
from ngdiff.tasks import Task
from ngdiff.tasks.alternates import side_by_side, split_rows
from ngdiff.training.compared import Compared

_PROTECT = RETAIN_OBJECTIVES["kl"]


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
        self, model: nn.Module, batch: Mapping[str, Any], side: Side, counts: Mapping[str, Tensor]
    ) -> PassLoss:
        """Sum of the objective over the micro-batch, divided by the count of its unit in the whole effective batch.

        With protected rows, plus their mean `KL(before || now)` a token, which a mean over the same batch is, too.

        Args:
            model: The model in training.
            batch: Of the task, on the model's device.
            side: The side of the batch.
            counts: Of units, answer tokens and protected tokens in all micro-batches of the step and processes
                (`ngdiff.training.sets.count_step`).
        """
        answers, protected = self._answers(model, batch, side)
        # Processes average their gradients, each divided by the global count: the product undoes the average.
        # A batch without any unit, in no process: 0 and not 0 / 0.
        loss = self._objectives[side](answers) * self._processes / counts[side].clamp(min=1)
        if protected is not None:
            loss = loss + _PROTECT(protected) * self._processes / counts["protect"].clamp(min=1)
        if self._processes > 1:
            # An objective on hidden states does not use the layers above, but DDP waits for gradients of all weights.
            loss = loss + 0.0 * answers.nll.sum()
        nll = answers.nll.detach().sum() / counts[f"{side}_tokens"].clamp(min=1)
        return PassLoss(loss, loss.detach() / self._processes, nll)

    def _answers(self, model: nn.Module, batch: Mapping[str, Any], side: Side) -> tuple[Answers, Answers | None]:
        """The forward pass over one batch, with everything that the side's objective needs; of protected rows, too."""
        objective, forward, layer = self._objectives[side], self._task.forward, self._layers[side]
        beside = batch.get("protect")
        if beside is not None:
            needs = objective.needs | _PROTECT.needs
            both = forward(model, side_by_side(dict(batch), beside), needs, layer)
            own, protected = split_rows(both, batch["labels"].shape[0])
            return self._compare(side, batch, own), self._compare("protect", beside, protected)
        other = batch.get("alternate")
        if other is None:
            return self._compare(side, batch, forward(model, batch, objective.needs, layer)), None
        return self._with_alternate(model, batch, other, objective), None

    def _with_alternate(
        self, model: nn.Module, batch: Mapping[str, Any], other: Mapping[str, Any], objective: Objective
    ) -> Answers:
        """Forget rows, and the same rows with other answers."""
        forward = self._task.forward
        if not objective.own_answers:  # their losses are only logged and compared with the ceiling
            with torch.no_grad():
                answers = forward(model, batch)
            return replace(answers, alternate=forward(model, other))
        rows = batch["labels"].shape[0]
        own, alternate = split_rows(forward(model, side_by_side(dict(batch), other), objective.needs), rows)
        alternate = self._compare("alternate", other, alternate)
        return replace(self._compare("forget", batch, own), alternate=alternate)

    def _compare(self, name: str, batch: Mapping[str, Any], answers: Answers) -> Answers:
        with torch.no_grad(), self._autocast():
            return self._compared.attach(name, batch, answers)


def _layer(objective: Objective, model: nn.Module) -> int | None:
    """Number of the layer whose hidden states the objective needs."""
    if objective.layer is None or "hidden" not in objective.needs:
        return None
    config = cast(Any, model).config.get_text_config(decoder=True)
    return objective.layer(int(config.num_hidden_layers))
