"""A `transformers.Trainer` that stops with a checkpoint on request, and whose files hold no secret."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from torch import Tensor
from transformers import Trainer, TrainerCallback, TrainerControl, TrainerState, TrainingArguments
from transformers.integrations import TensorBoardCallback, get_reporting_integration_callbacks
from transformers.integrations.integration_utils import default_logdir
from transformers.trainer import TRAINING_ARGS_NAME

from ngdiff.checkpoint_places import checkpoint_folder
from ngdiff.errors import StoppedBySignal
from ngdiff.file_names import CHECKPOINTS, REPORT
from ngdiff.modeling.save import save_model, whole_state
from ngdiff.secrets import is_secret
from ngdiff.training.sharding import has_shards
from ngdiff.training.stopping import Agreement, StopRequest
from ngdiff.writing import share_as_usual


class SavingTrainer(Trainer):
    """The base of every training run of ngdiff: how it stops, and how its model is saved.

    Attributes:
        stop_request: Set its `by`, and training ends after the current step: a checkpoint is written, whatever
            `save_strategy` says, and `train` raises `StoppedBySignal`. In the last step it has no effect: the run has
            ended.
    """

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.stop_request = StopRequest()
        self._stop_agreed = False  # in all processes, at the step that has just ended
        self._agreement: Agreement | None = None
        self._at_step_end = False
        self._saved_at = -1
        self._place_trackers()
        self.add_callback(_Steps(self))

    def _place_trackers(self) -> None:
        """Trackers come after all other callbacks, of which one may empty the folder before the first step; the events
        of TensorBoard go to `report/`."""
        trackers = get_reporting_integration_callbacks(self.args.report_to)
        self.callback_handler.callbacks.sort(key=lambda callback: type(callback) in trackers)
        for callback in self.callback_handler.callbacks:
            if isinstance(callback, TensorBoardCallback) and callback.logging_dir is None:
                callback.logging_dir = str(self.run_dir() / REPORT / default_logdir())

    def _agree_to_stop(self) -> bool:
        """At the end of each step, in all processes: whether one of them was asked to stop."""
        if self.args.world_size <= 1:
            return self.stop_request.by is not None
        if self._agreement is None:
            self._agreement = Agreement()
        return self._agreement.ask(self.stop_request.by is not None)

    def _maybe_log_save_evaluate(self, *args: Any, **kwargs: Any) -> None:
        super()._maybe_log_save_evaluate(*args, **kwargs)
        # A step that ends a pass is followed by the pass's log line, evaluation and checkpoint.
        ends_pass = float(self.state.epoch or 0.0).is_integer()
        if self._stop_agreed and not self.control.should_training_stop and not (self._at_step_end and ends_pass):
            self._stop()

    def _stop(self) -> None:
        step = self.state.global_step
        if self._saved_at != step:
            self._save_checkpoint(self.model_wrapped, None)
        self.accelerator.wait_for_everyone()  # a launcher ends all processes when the first one ends
        self.callback_handler.on_train_end(self.args, self.state, self.control)
        folder = checkpoint_folder(self.run_dir(), step)
        raise StoppedBySignal(
            self.stop_request.by, folder, step, self.state.max_steps, resumable=not self.args.save_only_model
        )

    def run_dir(self, trial: Any = None) -> Path:
        """The output folder; with a trial of a search for settings, the trial's own in it."""
        return Path(super()._get_output_dir(trial))

    def _get_output_dir(self, trial: Any) -> str:
        """Where Trainer writes `checkpoint-N`, and looks for the best one and for those to remove; nothing else."""
        return str(self.run_dir(trial) / CHECKPOINTS)

    def checkpoint_bytes(self) -> int:
        """Approximate size of a checkpoint: the weights (with an adapter only its own) and the optimizer's state."""
        model: Any = self.accelerator.unwrap_model(self.model)
        adapter = hasattr(model, "peft_config")
        weights = [p for p in model.parameters() if p.requires_grad or not adapter]
        optimizer: Any = self.optimizer
        state = [] if optimizer is None else [v for own in optimizer.state.values() for v in own.values()]
        return sum(t.numel() * t.element_size() for t in [*weights, *state] if isinstance(t, Tensor))

    def save_to(self, folder: str | Path, tokenizer: Any) -> list[str]:
        """Write the model, or its adapter, and the tokenizer as `ngdiff.modeling.save_model` does.

        The first process writes; all of them must call it.

        Returns:
            Names of the files; none in the other processes.

        Raises:
            OSError: the disk is full, or the folder cannot be written.
        """
        model: Any = self.accelerator.unwrap_model(self.model)
        first = self.args.process_index == 0
        state = whole_state(model, keep=first) if has_shards(model) else None
        files = save_model(model, tokenizer, folder, state=state) if first else []
        self.accelerator.wait_for_everyone()
        return files

    def _save(self, output_dir: str | None = None, state_dict: Any = None) -> None:
        """Save model and tokenizer, without the pickle of all arguments, the hub's token included, that Trainer adds.

        Nothing reads that file: the options are in `config.yaml`.
        """
        with _without_secrets(self.args):
            super()._save(output_dir, state_dict)
        if self.args.should_save:
            folder = Path(output_dir if output_dir is not None else str(self.args.output_dir))
            (folder / TRAINING_ARGS_NAME).unlink(missing_ok=True)
            share_as_usual(folder)


class _Steps(TrainerCallback):
    """Keeps the trainer informed of where in the run it is."""

    def __init__(self, trainer: SavingTrainer) -> None:
        self._trainer = trainer

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._trainer._stop_agreed, self._trainer._saved_at = False, -1

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._trainer.stop_request.phase = "steps"

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self._trainer._at_step_end = True
        self._trainer._stop_agreed = self._trainer._agree_to_stop()

    def on_save(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        self._trainer._saved_at = state.global_step

    def on_epoch_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._trainer._at_step_end = False

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._trainer.stop_request.phase = "after"
        if self._trainer._agreement is not None:
            self._trainer._agreement.end()


@contextmanager
def _without_secrets(args: Any) -> Iterator[None]:
    """Within, the arguments hold no secret, so that even a killed process leaves none on the disk."""
    hidden = {name: value for name, value in vars(args).items() if is_secret(name) and value is not None}
    try:
        for name in hidden:
            setattr(args, name, None)
        yield
    finally:
        for name, value in hidden.items():
            setattr(args, name, value)
