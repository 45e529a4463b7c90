"""The loss of some rows before the first step of a fine-tuning run and after its last one: did it diverge?"""

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from ngdiff.evaluation.eval_mode import eval_mode
from ngdiff.training.loss_bound import loss_bound
from ngdiff.training.outcome import NO_NUMBERS, Outcome, not_finite, why_ruined
from ngdiff.training.sharding import fresh_weights

Batch = Mapping[str, Tensor]


class LossCheck(TrainerCallback):
    """The mean loss of some rows before and after a run. All processes look at the same rows.

    Args:
        trainer: Of the run.
        collate: Makes a batch of rows.
        rows: Of the training set.
        nll_of: Losses of a batch's answers.
        guessing: Loss of random guessing, in nats.
    """

    def __init__(
        self,
        trainer: Trainer,
        collate: Callable[[Sequence[Any]], Batch],
        rows: Sequence[Any],
        nll_of: Callable[[Batch], Tensor],
        *,
        guessing: float,
    ) -> None:
        self.trainer, self.nll_of, self.rows, self.guessing = trainer, nll_of, len(rows), guessing
        size = trainer.args.per_device_eval_batch_size
        self.batches = [collate(rows[start : start + size]) for start in range(0, len(rows), size)]
        self.before = math.nan

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """The loss before the first step; a run that is resumed has it from its checkpoint."""
        known = [row["loss_before"] for row in state.log_history if "loss_before" in row]
        self.before = known[0] if known else self._loss()
        if not known:
            state.log_history.append({"loss_before": self.before, "step": 0})

    def outcome(self, max_loss: str) -> Outcome:
        """How the run ended. All processes must call it.

        Args:
            max_loss: The option `--max-loss`.
        """
        model = cast(nn.Module, self.trainer.model)
        before, rows = {"train": self.before}, {"train": self.rows}
        bound = loss_bound(max_loss, before=self.before, guessing=self.guessing, name="--max-loss")
        name = not_finite(model)
        flag = torch.tensor(float(bool(name)), device=self.trainer.args.device)
        if float(cast(Tensor, self.trainer.accelerator.reduce(flag, "sum"))):
            return Outcome(before, {}, rows, bound, NO_NUMBERS + (f" ({name})" if name else ""))
        after = self._loss()
        ruined = why_ruined("loss on what it was trained on", self.before, after, bound)
        return Outcome(before, {"train": after}, rows, bound, ruined)

    def _loss(self) -> float:
        model, device = cast(nn.Module, self.trainer.model), self.trainer.args.device
        with eval_mode(model), fresh_weights(model), self.trainer.accelerator.autocast():
            losses = [self.nll_of({name: value.to(device) for name, value in b.items()}).cpu() for b in self.batches]
        return float(torch.cat(losses).double().mean())
