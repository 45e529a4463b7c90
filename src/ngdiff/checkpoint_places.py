"""Where the checkpoints of a run lie: `OUTPUT/checkpoints/checkpoint-N`, N the number of the step.

Earlier versions wrote `OUTPUT/checkpoint-N`. Such folders are found as well, so that a run can continue from them;
nothing is written there.
"""

import re
from pathlib import Path

from ngdiff.file_names import CHECKPOINTS

_PREFIX = "checkpoint"  # of transformers' Trainer, which puts number and folder together itself
_NAME = re.compile(rf"{_PREFIX}-([0-9]+)")


def checkpoint_folder(run_dir: str | Path, step: int) -> Path:
    """Where the checkpoint of a step is written.

    >>> checkpoint_folder("run", 30).as_posix()
    'run/checkpoints/checkpoint-30'
    """
    return Path(run_dir, CHECKPOINTS, f"{_PREFIX}-{step}")


def checkpoints_of(run_dir: str | Path) -> list[Path]:
    """Folders of a run's checkpoints, whole or not, the newest first."""
    places = (Path(run_dir, CHECKPOINTS), Path(run_dir))  # of two of the same step, that of this version comes first
    found = [path for place in places for path in place.glob(f"{_PREFIX}-*") if path.is_dir()]
    return sorted((path for path in found if _NAME.fullmatch(path.name)), key=step_of, reverse=True)


def checkpoint_of(run_dir: str | Path, step: int) -> Path:
    """The checkpoint of a step, where it lies; where it would be written if there is none."""
    return next((path for path in checkpoints_of(run_dir) if step_of(path) == step), checkpoint_folder(run_dir, step))


def run_of(checkpoint: str | Path) -> Path:
    """The output folder in which a checkpoint lies.

    >>> run_of("run/checkpoints/checkpoint-30").as_posix(), run_of("run/checkpoint-30").as_posix()
    ('run', 'run')
    """
    place = Path(checkpoint).parent
    return place.parent if place.name == CHECKPOINTS else place


def step_of(checkpoint: Path) -> int:
    """Number of the step in the name of a checkpoint's folder."""
    return int(checkpoint.name.rpartition("-")[2])
