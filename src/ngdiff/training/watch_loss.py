"""Stops a run whose training loss is low enough, or not a number."""

import math
from typing import Any

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from ngdiff.writing import without_nan


class WatchLoss(TrainerCallback):
    """Stops the run when the logged loss is low enough, fails when it is not a number.

    The logged loss is the mean over all processes, so that all of them stop together.
    """

    def __init__(self, stop_loss: float | None) -> None:
        self.stop_loss = stop_loss

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        loss = (logs or {}).get("loss")
        if loss is None:
            return
        if not math.isfinite(loss):
            raise FloatingPointError(
                f"step {state.global_step}: the training loss is {loss}; a smaller --learning-rate may help."
            )
        if self.stop_loss is not None and loss <= self.stop_loss:
            control.should_training_stop = True
        state.log_history[-1] = without_nan(state.log_history[-1])  # a gradient norm may be none
