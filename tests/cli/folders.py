"""Folders of runs, without a run."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ngdiff.cli.options import TrainingOutputOptions
from ngdiff.cli.run_folder import RunFolder

CONTENTS: dict[str, Any] = {
    "data": {"forget": {"rows": 2, "rows_sha256": "ab"}},
    "model": {"source": "owner/name"},
    "template": "plain",
}


@dataclass
class Settings:
    """What the folder asks of the trainer's arguments."""

    seed: int = 7
    max_steps: int = 4
    save_only_model: bool = False
    load_best_model_at_end: bool = False


def folder_at(place: Path, *, config: Any = None, inputs: tuple[Path, ...] = (), **options: bool) -> RunFolder:
    return RunFolder(
        "unlearn", ["--x"], TrainingOutputOptions(output=str(place), **options), config or Settings(), inputs
    )


def described(place: Path, *, data: Any = None, **options: Any) -> RunFolder:
    folder = folder_at(place, **options)
    return folder.describe(TrainingOutputOptions(output=str(place)), **{**CONTENTS, **({"data": data} if data else {})})
