"""Where checkpoints lie, and those of earlier versions."""

from pathlib import Path

import pytest

from ngdiff.checkpoint_places import checkpoint_folder, checkpoint_of, checkpoints_of, run_of


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A run that an earlier version began, and this one continued from step 2."""
    for name in ("checkpoint-2", "checkpoint-4", "checkpoints/checkpoint-4", "checkpoints/checkpoint-10", "reference"):
        (tmp_path / name).mkdir(parents=True)
    return tmp_path


def names(run: Path, found: list[Path]) -> list[str]:
    return [path.relative_to(run).as_posix() for path in found]


def test_they_are_written_to_a_folder_of_their_own() -> None:
    assert checkpoint_folder("run", 4) == Path("run", "checkpoints", "checkpoint-4")
    assert checkpoint_folder(Path("/a/run"), 4) == Path("/a/run/checkpoints/checkpoint-4")


def test_the_newest_comes_first_and_of_the_same_step_that_of_this_version(run: Path) -> None:
    found = ["checkpoints/checkpoint-10", "checkpoints/checkpoint-4", "checkpoint-4", "checkpoint-2"]
    assert names(run, checkpoints_of(run)) == found


@pytest.mark.parametrize("place", [".", "checkpoints"])
def test_files_and_other_folders_are_none(tmp_path: Path, place: str) -> None:
    assert checkpoints_of(tmp_path) == []
    for name in ("checkpoint-last", "checkpoint-", "checkpoint-3-copy", "my-checkpoint-3"):
        (tmp_path / place / name).mkdir(parents=True)
    (tmp_path / place / "checkpoint-3").write_text("a file")
    assert checkpoints_of(tmp_path) == []


def test_that_of_a_step(run: Path) -> None:
    found = [checkpoint_of(run, step) for step in (2, 4, 10, 6)]
    assert names(run, found) == [
        "checkpoint-2",
        "checkpoints/checkpoint-4",
        "checkpoints/checkpoint-10",
        "checkpoints/checkpoint-6",
    ]


def test_the_run_of_a_checkpoint(run: Path) -> None:
    assert {run_of(path) for path in checkpoints_of(run)} == {run}
