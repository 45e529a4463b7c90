"""The progress bar of a run, with losses and learning rate in it instead of a printed line for each step."""

from typing import Any

from transformers import ProgressCallback, TrainerControl, TrainerState, TrainingArguments


class StepProgress(ProgressCallback):
    """Transformers' progress bar with the figures of the last log line in it, instead of a printed line for each."""

    def on_log(
        self,
        args: TrainingArguments,
        state: TrainerState,
        control: TrainerControl,
        logs: dict[str, float] | None = None,
        **kwargs: Any,
    ) -> None:
        """Show losses and learning rate; print evaluations as before."""
        logs = logs or {}
        if any(key.startswith("eval_") for key in logs):
            super().on_log(args, state, control, logs=logs, **kwargs)
        elif state.is_world_process_zero and self.training_bar is not None and "learning_rate" in logs:
            losses = {"forget": "loss_forget", "retain": "loss_retain"} if "loss_forget" in logs else {"loss": "loss"}
            shown = [f"{name} {logs[key]:.3f}" for name, key in losses.items()]
            self.training_bar.set_postfix_str(", ".join([*shown, f"rate {logs['learning_rate']:.1e}"]))
