"""The progress bar of a run: both losses and the learning rate beside the bar, no line for each step."""

from typing import Any

from transformers import ProgressCallback, TrainerControl, TrainerState, TrainingArguments


class StepProgress(ProgressCallback):
    """Transformers' progress bar with the figures of the last step in it."""

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        """Show the step's losses and learning rate; print evaluations as before."""
        logs = logs or {}
        if "loss_forget" not in logs:
            if not any(key.startswith("train_") for key in logs):
                super().on_log(args, state, control, logs=logs, **kwargs)
        elif state.is_world_process_zero and self.training_bar is not None:
            self.training_bar.set_postfix_str(
                f"forget {logs['loss_forget']:.3f}, retain {logs['loss_retain']:.3f}, rate {logs['learning_rate']:.1e}"
            )
