"""Calls the trainer at moments for which `transformers.Trainer` has a callback but no method."""

from typing import Any, Protocol

from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments


class _Run(Protocol):
    def start_run(self) -> None: ...
    def end_run(self) -> None: ...
    def start_epoch(self) -> None: ...
    def start_step(self) -> None: ...
    def end_step(self) -> None: ...
    def choose_learning_rate(self) -> None: ...
    def check_step(self) -> None: ...


class RunCallback(TrainerCallback):
    """Start and end of a run, start of an epoch, final gradients.

    First in the list of callbacks: it must see final gradients before any callback of the user reads the learning rate.
    """

    def __init__(self, run: _Run) -> None:
        self._run = run

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Losses, ceiling, references."""
        self._run.start_run()

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Was the ceiling reached?"""
        self._run.end_run()

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """accelerate's `set_epoch` does not reach a custom sampler when a run resumes within an epoch."""
        self._run.start_epoch()

    def on_step_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """No micro-batch of the step has been seen."""
        self._run.start_step()

    def on_step_end(self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any) -> None:
        """Before Trainer's own callback asks whether this was the last step."""
        self._run.end_step()

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """Gradients are combined and clipped."""
        self._run.choose_learning_rate()

    def on_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """The weights have moved."""
        self._run.check_step()
