"""Checkpoints that are complete or absent, and the files that ngdiff adds to them."""

import json
import logging
import shutil
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from ngdiff.checkpoint_places import checkpoint_folder, checkpoint_of, checkpoints_of, run_of, step_of
from ngdiff.checksums import LIST, flush, wrong_files
from ngdiff.errors import InputError, WriteError
from ngdiff.file_names import BASE_MODEL, CHECKPOINTS, CONFIG, CONFIG_COPY, MANIFEST, MANIFEST_COPY, REFERENCE
from ngdiff.writing import without_nan

logger = logging.getLogger(__name__)

# Files of a run's folder, and the names of their copies in each checkpoint.
RUN_FILES = {CONFIG: CONFIG_COPY, MANIFEST: MANIFEST_COPY}

_STATE = "unlearning_state.json"
_SCHEDULER = "scheduler.pt"
_TRAINER_STATE = "trainer_state.json"


class CheckpointError(OSError):
    """A checkpoint could not be written, or does not hold what it should; earlier ones are untouched."""


@dataclass
class RunState:
    """State that a resumed run needs in addition to that of the Trainer.

    Args:
        weighting: The weighting's state.
        initial_losses: Mean loss of each set before unlearning, in nats a token.
        probes: Every probe of the learning rate so far.
        pending_logs: Figures of the steps since the last log line.
        references: Identifier of the outputs of the model before unlearning (`References.compute`); empty if no
            objective compares with them.
        teacher: The same for the outputs of the base model.
        sampled: SHA-256 of the file of answers that the model made up before unlearning (`ngdiff.training.sampled`).
        arrival: State of a run that ends when its losses have reached their levels (`ngdiff.training.arrival`).
        utility: Figures of a run with `--utility-floor` (`ngdiff.training.utility_floor`); empty without.
        undone: Every step that was undone (`ngdiff.training.rollback`).
        level_losses: Losses of the holdout tokens from which levels are taken, in nats (`ngdiff.training.levels`).
        level_coefficients: Of the hardness by which these tokens are chosen (`ngdiff.training.hardness`).
        level_ranks: Name of a set -> ranks of its tokens, by which they are chosen where nothing else is known of them.
        level_corrections: What is added to the levels of the answer tokens of all rows to forget, in nats.
    """

    weighting: dict[str, Any] = field(default_factory=dict)
    initial_losses: dict[str, float] = field(default_factory=dict)
    probes: list[dict[str, Any]] = field(default_factory=list)
    pending_logs: list[dict[str, float]] = field(default_factory=list)
    references: str = ""
    teacher: str = ""
    sampled: str = ""
    undone: list[dict[str, Any]] = field(default_factory=list)
    level_losses: list[float] = field(default_factory=list)
    level_coefficients: list[float] = field(default_factory=list)
    level_ranks: dict[str, list[float]] = field(default_factory=dict)
    level_corrections: list[float] = field(default_factory=list)
    arrival: dict[str, Any] = field(default_factory=dict)
    utility: dict[str, Any] = field(default_factory=dict)

    def save(self, checkpoint: str | Path) -> None:
        """Write into a checkpoint folder."""
        Path(checkpoint, _STATE).write_text(json.dumps(without_nan(asdict(self)), indent=1), encoding="utf-8")

    @classmethod
    def load(cls, checkpoint: str | Path) -> "RunState":
        """Read from a checkpoint folder.

        Raises:
            CheckpointError: it has none: the checkpoint is of another trainer.
        """
        try:
            return cls(**json.loads(Path(checkpoint, _STATE).read_text(encoding="utf-8")))
        except (OSError, ValueError, TypeError) as error:
            raise CheckpointError(f"{checkpoint} holds no {_STATE} of an unlearning run: {error}") from error


def make_place(run_dir: str | Path) -> None:
    """Make the folder of a run's checkpoints, so that a power cut cannot lose it with a checkpoint in it."""
    place = Path(run_dir, CHECKPOINTS)
    if not place.is_dir():
        place.mkdir(parents=True)
        flush(run_dir)


def keep_run_files(run_dir: str | Path, checkpoint: str | Path) -> None:
    """Copy a run's manifest and configuration into a checkpoint, for a `--resume` that finds the originals damaged."""
    for name, kept in RUN_FILES.items():
        if Path(run_dir, name).is_file():
            shutil.copyfile(Path(run_dir, name), Path(checkpoint, kept))


class WholeCheckpoint(str):
    """Path of a checkpoint whose files were compared with their list."""


@contextmanager
def saving_checkpoint(run_dir: str | Path, step: int, *, needed: Callable[[], int] | None = None) -> Iterator[None]:
    """Within, checkpoint number `step` is written; if that fails, what was written of it goes again.

    Args:
        run_dir: The run's output folder.
        step: Number of the step.
        needed: About how many bytes it takes; asked if it fails.

    Raises:
        CheckpointError: the disk is full, or another failure of writing; names the last whole checkpoint.
    """
    folder = checkpoint_folder(run_dir, step)
    try:
        yield
    except Exception as error:
        from ngdiff.modeling.save import is_failed_write

        # torch.save and collective calls raise RuntimeErrors with many texts.
        if not (is_failed_write(error) or isinstance(error, RuntimeError)):
            raise
        shutil.rmtree(folder, ignore_errors=True)
        last = next((other for other in checkpoints_of(run_dir) if (other / LIST).is_file()), None)
        rest = (
            f"{last.name} is complete: free some space and continue with --resume"
            if last
            else "there is no earlier one"
        )
        size = None if needed is None else needed()
        raise CheckpointError(str(WriteError(folder, _reason(error), needed=size, advice=rest))) from error


def _reason(error: Exception) -> object:
    """Of an error with a file in the folder, only the reason is reported."""
    return error.__cause__ if isinstance(error, WriteError) else error


def newest_whole(run_dir: str | Path, *, with_best: bool = False) -> WholeCheckpoint | None:
    """The newest checkpoint of a run whose files are all there and as they were written; None where none was written to
    its end.

    Newer ones that are not whole are named in a warning.

    Args:
        run_dir: The run's output folder.
        with_best: The checkpoint that it names as the best one so far must be whole, too.

    Raises:
        InputError: all that were written to their end are damaged; names what is wrong with each.
    """
    damaged = []
    for folder in checkpoints_of(run_dir):
        wrong = "; ".join(faults_of(folder, with_best=with_best))
        if not wrong:
            return WholeCheckpoint(folder)
        logger.warning("%s is skipped: %s", folder, wrong)
        if (folder / LIST).is_file():
            damaged.append(f"{folder.name}: {wrong}")
    if damaged:
        raise InputError(
            f"--resume: {run_dir} holds no complete checkpoint to continue from ({'. '.join(damaged)}); put one back "
            "from a copy, or start the run again, with --overwrite or another --output"
        )
    return None


def check_whole(folder: Path, *, with_best: bool = False) -> WholeCheckpoint:
    """A checkpoint that was chosen by hand.

    Raises:
        InputError: it is not whole; names what is wrong.
    """
    if wrong := faults_of(folder, with_best=with_best):
        raise InputError(f"{folder}: {'; '.join(wrong)}")
    return WholeCheckpoint(folder)


def faults_of(folder: Path, *, with_best: bool = False) -> list[str]:
    """What is wrong with a checkpoint, as `newest_whole` sees it; empty where it is whole."""
    wrong = wrong_files(folder)
    if wrong:
        return wrong
    try:
        state = json.loads((folder / _TRAINER_STATE).read_text(encoding="utf-8"))
        step, best = int(state["global_step"]), state.get("best_global_step")
    except (OSError, ValueError, TypeError, KeyError):  # of a list that was made for other files
        return [f"{_TRAINER_STATE} cannot be read"]
    if not (folder / _SCHEDULER).is_file():
        return ["it holds no state of an optimizer (--save-only-model), without which a run cannot continue"]
    if step != step_of(folder):
        return [f"it is the checkpoint of step {step}, under another name"]
    if with_best and best and best != step:
        other = checkpoint_of(run_of(folder), best)
        if faults := wrong_files(other):
            return [f"{other.name}, the best one so far, is not whole: {'; '.join(faults)}"]
    return []


def remove_surplus(run_dir: str | Path, current: int, *, limit: int | None, best: int | None) -> None:
    """Remove checkpoints until `limit` are left; never that of the step `current`, nor the best.

    First go those of later steps, which the run has not come to since it was resumed, then those that were not written
    to their end, then the oldest.
    """
    if not limit or limit < 1:
        return
    found = sorted(
        checkpoints_of(run_dir), key=lambda path: (step_of(path) <= current, (path / LIST).is_file(), step_of(path))
    )
    spare = [path for path in found if step_of(path) not in (current, best)]
    for path in spare[: max(0, len(found) - limit)]:
        shutil.rmtree(path, ignore_errors=True)


def resumable_parts(run_dir: str | Path) -> list[Path]:
    """The folders that only a resumed run needs: checkpoints, and outputs of other models for its rows."""
    place, said = Path(run_dir, CHECKPOINTS), (Path(run_dir, name) for name in (REFERENCE, BASE_MODEL))
    earlier = [folder for folder in checkpoints_of(run_dir) if folder.parent != place]  # of an earlier version
    return [folder for folder in (place, *earlier, *said) if folder.is_dir()]
