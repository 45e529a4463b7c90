"""`CheckpointedTrainer`: a `transformers.Trainer` whose resumed run is the uninterrupted one, bit for bit.

What Trainer does otherwise, and what is done here:

- it reads weights with `strict=False` under the names of the disk: `ngdiff.training.checkpoint_weights`;
- it believes any folder of the right name: only one whose files equal their list (`ngdiff.checksums`) counts;
- it takes one step more where a run that ended within a pass is resumed: none is taken;
- it forgets the losses since the last log line, which `stop_loss` is compared with, and draws another order of rows for
  the rest of a pass: `pass_*.pt` keeps both;
- it looks for the best checkpoint where it was written: it lies in the run's folder, wherever that is now;
- it removes old checkpoints before the new one is whole: they go after it is.
"""

import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import torch
from torch import Tensor, nn
from transformers import TrainerCallback, TrainerControl, TrainerState, TrainingArguments

from ngdiff.checkpoint_places import checkpoint_folder, checkpoint_of
from ngdiff.checksums import write_checksums, wrong_files
from ngdiff.errors import InputError
from ngdiff.plurals import number_of
from ngdiff.training.adapter_base import check_base, note_base
from ngdiff.training.checkpoint import (
    CheckpointError,
    WholeCheckpoint,
    check_whole,
    keep_run_files,
    make_place,
    newest_whole,
    remove_surplus,
    saving_checkpoint,
)
from ngdiff.training.checkpoint_weights import load_weights
from ngdiff.training.first_process import in_first_process
from ngdiff.training.saving import SavingTrainer

logger = logging.getLogger(__name__)

_SHARDED_WEIGHTS = "pytorch_model_fsdp*"


def _on_the_host(storage: Any, place: str) -> Any:
    return storage if place.startswith("cpu:") else None


# Several processes on a CPU: accelerate calls the device of the first "cpu:0", transformers 5.17 asks for what it reads
# of a checkpoint there, and torch knows "cpu" alone.
torch.serialization.register_package(11, lambda storage: None, _on_the_host)


class CheckpointedTrainer(SavingTrainer):
    """A `transformers.Trainer` with checkpoints that are whole.

    Args:
        stop_loss: A logged training loss, in nats, at or below which a callback ends the run; None for none.
        arguments, options: Those of `transformers.Trainer`.

    Raises:
        InputError: from `train`: no complete checkpoint to continue from, or one beyond the end of this run.
        CheckpointError: from `train`: a checkpoint that cannot be written or read.
    """

    def __init__(self, *arguments: Any, stop_loss: float | None = None, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._stop_loss = stop_loss
        self._last_whole: Path | None = None  # nothing was trained since it was written or read
        self._pass_start: Tensor | None = None  # state of torch's generator at the start of the pass
        self._resumed_pass: dict[str, Any] | None = None
        self._within_pass = False  # where it continues
        self.nothing_left = False  # the run had ended before it was resumed
        self.add_callback(_Passes(self))

    def train(  # type: ignore[override]  # paths are welcome, too; what else Trainer takes is handed on
        self, resume_from_checkpoint: str | Path | bool | None = None, **options: Any
    ) -> Any:
        """As `transformers.Trainer.train`; True continues from the newest complete checkpoint of the output folder."""
        given, with_best = resume_from_checkpoint, self.args.load_best_model_at_end
        if given is True:
            given = in_first_process(lambda: newest_whole(str(self.args.output_dir), with_best=with_best))
            if given is None:
                raise InputError(
                    f"{self.args.output_dir} holds no complete checkpoint; train without "
                    "`resume_from_checkpoint`, which starts from the beginning"
                )
        elif given and not isinstance(given, WholeCheckpoint):
            path = Path(given)
            given = in_first_process(lambda: check_whole(path, with_best=with_best))
        self._last_whole = Path(given) if given else None
        if self.args.save_only_model and self.args.save_strategy != "no":
            logger.warning("--save-only-model: no run can continue from such checkpoints, and --resume refuses them.")
        return super().train(resume_from_checkpoint=str(given) if given else None, **options)

    # ---- where the run is ------------------------------------------------------------------------------------------

    def _init_training_state(
        self, max_steps: int, num_update_steps_per_epoch: int, num_train_epochs: int, resume: str | None, trial: Any
    ) -> tuple[int, int]:
        epochs, micro_batches = super()._init_training_state(
            max_steps, num_update_steps_per_epoch, num_train_epochs, resume, trial
        )
        self.nothing_left, self._resumed_pass = False, None
        if resume is None:
            return epochs, micro_batches
        if self.state.best_global_step:
            best = checkpoint_of(self.run_dir(trial), self.state.best_global_step)
            self.state.best_model_checkpoint = str(best) if best.is_dir() else None
        step = self.state.global_step
        if step > max_steps:
            raise InputError(
                f"--resume: {resume} is {number_of(step, 'step')} far, and --max-steps or --num-train-epochs ask for "
                f"{max_steps}; give as many as before or more, or another --output"
            )
        self._resumed_pass = _read_pass(Path(resume), self.args.process_index, self.args.world_size)
        self._within_pass = micro_batches > 0
        if step == max_steps or self._is_over(step):
            self.nothing_left = True
            logger.info("The run was done at step %d: nothing is left to train.", step)
            return num_train_epochs, 0
        return epochs, micro_batches

    def _is_over(self, step: int) -> bool:
        """Whether the run had ended at the step from which it is resumed, before all its steps."""
        losses = [row["loss"] for row in self.state.log_history if "loss" in row]
        missed = self._missed_loss()
        last = missed if missed is not None else losses[-1] if losses else None
        return self._stop_loss is not None and last is not None and last <= self._stop_loss

    def _missed_loss(self) -> float | None:
        """Mean loss of a pass at whose end the run was ended after its checkpoint and before its log line."""
        resumed, step = self._resumed_pass, self.state.global_step
        if resumed is None or self._within_pass or self.args.logging_strategy != "epoch":
            return None
        steps = step - int(resumed["last_logged"])
        return float(resumed["mean_loss"]) / steps if steps else None

    def start_passes(self) -> None:
        """Before the first step of this process: the losses since the last log line."""
        if self._resumed_pass is None:
            return
        missed = self._missed_loss()
        if missed is not None:
            self.log({"loss": missed, "learning_rate": self._get_learning_rate()})
            return
        self._tr_loss += self._resumed_pass["loss"].to(self._tr_loss.device)
        self._globalstep_last_logged = int(self._resumed_pass["last_logged"])

    def start_pass(self) -> None:
        """Before the order of a pass is drawn: a run that resumes within the pass draws the same order again."""
        resumed, self._resumed_pass = self._resumed_pass, None
        if resumed is not None and self._within_pass:
            torch.set_rng_state(resumed["start"])
        self._pass_start = torch.get_rng_state()

    def _load_rng_state(self, checkpoint: str | None) -> None:
        super()._load_rng_state(checkpoint)
        if not self._within_pass:
            self._pass_start = torch.get_rng_state()

    # ---- writing ---------------------------------------------------------------------------------------------------

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        run_dir, step = self.run_dir(trial), self.state.global_step
        folder = checkpoint_folder(run_dir, step)
        if self._last_whole is not None and folder.resolve() == self._last_whole.resolve():
            return
        with saving_checkpoint(run_dir, step, needed=self.checkpoint_bytes):
            if self.args.should_save:
                make_place(run_dir)
                shutil.rmtree(folder, ignore_errors=True)  # of a damaged one, or of another run
            self.accelerator.wait_for_everyone()
            with self._keeping_all():
                super()._save_checkpoint(model, trial)
            self.accelerator.wait_for_everyone()
            if self.args.should_save:
                keep_run_files(run_dir, folder)
                note_base(self._unwrapped(model), folder)
                write_checksums(folder)
        self._last_whole = folder
        if self.args.should_save:
            best = self.state.best_global_step if self.state.best_model_checkpoint else None
            remove_surplus(run_dir, step, limit=self.args.save_total_limit, best=best)

    @contextmanager
    def _keeping_all(self) -> Iterator[None]:
        limit, self.args.save_total_limit = self.args.save_total_limit, None
        try:
            yield
        finally:
            self.args.save_total_limit = limit

    def _save_rng_state(self, output_dir: str) -> None:
        super()._save_rng_state(output_dir)
        state = {"start": self._pass_start, "loss": self._tr_loss.cpu(), "last_logged": self._globalstep_last_logged}
        torch.save(state, Path(output_dir, f"pass_{self.args.process_index}.pt"))

    # ---- reading ---------------------------------------------------------------------------------------------------

    def _load_from_checkpoint(self, resume_from_checkpoint: str, model: nn.Module | None = None) -> None:
        folder = Path(resume_from_checkpoint)
        sharded = any(folder.glob(_SHARDED_WEIGHTS))
        if sharded != bool(self.is_fsdp_enabled):
            raise InputError(
                f"--resume: {folder} was written {'with' if sharded else 'without'} --fsdp; resume it that way"
            )
        if sharded:
            super()._load_from_checkpoint(resume_from_checkpoint, model)
            return
        check_base(self._unwrapped(model), folder)
        load_weights(self._unwrapped(model), folder)

    def _load_best_model(self) -> None:
        folder = Path(str(self.state.best_model_checkpoint))
        if wrong := in_first_process(lambda: wrong_files(folder)):
            raise CheckpointError(f"{folder}, the best checkpoint, is not whole: {'; '.join(wrong)}")
        if self.is_fsdp_enabled:
            super()._load_best_model()
            return
        load_weights(self._unwrapped(None), folder)

    def _unwrapped(self, model: nn.Module | None) -> nn.Module:
        found: nn.Module = self.accelerator.unwrap_model(model or self.model, keep_torch_compile=False)
        return found


class _Passes(TrainerCallback):
    """Calls the trainer when it starts, and when a pass starts."""

    def __init__(self, trainer: CheckpointedTrainer) -> None:
        self._trainer = trainer

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """All is loaded, nothing is trained."""
        self._trainer.start_passes()

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """The order of rows is drawn next."""
        self._trainer.start_pass()


def _read_pass(checkpoint: Path, process: int, processes: int) -> dict[str, Any]:
    """What this process wrote; in another number of processes what the first did, with the mean of all losses."""
    files = sorted(checkpoint.glob("pass_*.pt"))
    found = {
        int(file.stem.rpartition("_")[2]): torch.load(file, map_location="cpu", weights_only=True) for file in files
    }
    if not found:
        raise CheckpointError(f"{checkpoint} does not say how far it is within its pass")
    mean = torch.stack([state["loss"] for state in found.values()]).mean()
    own = found[process] if len(found) == processes else {**found[0], "loss": mean}
    return {**own, "mean_loss": mean}
