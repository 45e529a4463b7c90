"""Checkpoints that are whole or are not there, and what ngdiff adds to them."""

import json
import logging
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers.trainer_utils import PREFIX_CHECKPOINT_DIR

from ngdiff.files import without_nan

logger = logging.getLogger(__name__)

_STATE = "unlearning_state.json"
_LAST_WRITTEN = "trainer_state.json"  # Trainer writes it after everything else


def _on_the_host(storage: Any, place: str) -> Any:
    return storage if place.startswith("cpu:") else None


# Several processes on a CPU: accelerate calls the device of the first "cpu:0", transformers 5.17 asks for what it reads
# of a checkpoint there, and torch knows "cpu" alone.
torch.serialization.register_package(11, lambda storage: None, _on_the_host)


class CheckpointError(OSError):
    """A checkpoint could not be written; earlier ones are untouched."""


@dataclass
class RunState:
    """What a resumed run needs besides the Trainer's own state.

    Args:
        weighting: The weighting's state.
        initial_losses: Mean loss of each set before unlearning, in nats a token.
        probes: Every probe of the learning rate so far.
    """

    weighting: dict[str, Any] = field(default_factory=dict)
    initial_losses: dict[str, float] = field(default_factory=dict)
    probes: list[dict[str, Any]] = field(default_factory=list)

    @property
    def relative_step(self) -> float:
        """`Probe.relative_step` of the last probe; 0 where there is none."""
        return float(self.probes[-1].get("relative_step") or 0.0) if self.probes else 0.0

    def save(self, checkpoint: str | Path) -> None:
        """Write into a checkpoint folder."""
        Path(checkpoint, _STATE).write_text(json.dumps(without_nan(asdict(self)), indent=1), encoding="utf-8")

    @classmethod
    def load(cls, checkpoint: str | Path) -> "RunState":
        """Read from a checkpoint folder; a new state where the folder has none (a checkpoint of another trainer)."""
        path = Path(checkpoint, _STATE)
        return cls(**json.loads(path.read_text(encoding="utf-8"))) if path.exists() else cls()


@contextmanager
def saving_checkpoint(run_dir: str | Path, step: int) -> Iterator[None]:
    """Within, checkpoint number `step` is written; if that fails, what was written of it goes again.

    Raises:
        CheckpointError: the disk is full, or another failure of writing; names the last whole checkpoint.
    """
    folder = checkpoint_folder(run_dir, step)
    try:
        yield
    except (
        OSError,
        SafetensorError,
        RuntimeError,
    ) as error:  # torch.save reports a full disk as RuntimeError
        shutil.rmtree(folder, ignore_errors=True)
        last = last_checkpoint(run_dir)
        rest = f"{last.name} is whole: free some space and go on with --resume" if last else "there is no earlier one"
        raise CheckpointError(f"{folder} could not be written ({error}); {rest}") from error


def checkpoint_folder(run_dir: str | Path, step: int) -> Path:
    """Folder of a step's checkpoint."""
    return Path(run_dir, f"{PREFIX_CHECKPOINT_DIR}-{step}")


def last_checkpoint(run_dir: str | Path) -> Path | None:
    """The newest checkpoint of a run that was written to its end, if any."""
    found = sorted(Path(run_dir).glob(f"{PREFIX_CHECKPOINT_DIR}-*"), key=_step, reverse=True)
    return next((folder for folder in found if _is_whole(folder)), None)


def _step(folder: Path) -> int:
    number = folder.name.rpartition("-")[2]
    return int(number) if number.isdigit() else -1


def _is_whole(folder: Path) -> bool:
    try:
        json.loads((folder / _LAST_WRITTEN).read_text(encoding="utf-8"))
    except (OSError, ValueError):
        logger.warning("%s was not written to its end and is passed over", folder)
        return False
    return True
