"""The same runs in one process and in two; each number of processes is started once."""

from pathlib import Path
from typing import Any

import pytest

from ngdiff.checkpoint_places import checkpoint_folder

from .cases import CASES, INTERRUPTED, PDU, SAVED
from .launch import launch

BATCH = {1: 4, 2: 2}


def spread(processes: int, options: dict[str, Any]) -> dict[str, Any]:
    """Options with the same rows in a step for any number of processes."""
    batch = BATCH[processes] // int(options.get("gradient_accumulation_steps", 1))
    return {**options, "per_device_train_batch_size": batch}


@pytest.fixture(scope="session")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("distributed")


@pytest.fixture(scope="session")
def one(folder: Path) -> dict[str, Any]:
    """All cases in one process."""
    cases = {name: spread(1, case.options) for name, case in CASES.items()}
    return launch(folder / "one", 1, {**cases, "interrupted": spread(1, SAVED)})


@pytest.fixture(scope="session")
def two(folder: Path, one: dict[str, Any]) -> dict[str, Any]:
    """All cases in two processes, and the end of a run that one process began."""
    cases = {name: spread(2, case.options) for name, case in CASES.items()}
    return launch(
        folder / "two",
        2,
        {
            **cases,
            "interrupted": spread(2, SAVED),
            "began in one": spread(2, resumed(folder / "one")),
            "began in two": spread(2, resumed(folder / "two")),
            "pdu, resumed": spread(2, resumed(folder / "two", "pdu", PDU)),
        },
    )


def resumed(folder: Path, name: str = "interrupted", options: dict[str, Any] = INTERRUPTED) -> dict[str, Any]:
    """Options that go on from the checkpoint of a run in a folder."""
    run = folder / f"run-{name}"
    return {**options, "output_dir": str(run), "resume": str(checkpoint_folder(run, 4))}
