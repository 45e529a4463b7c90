"""Output folders that a command cannot use, found before it does anything."""

import shutil
from pathlib import Path

import pytest

from ngdiff.checkpoint_places import checkpoint_folder
from ngdiff.errors import InputError
from ngdiff.file_names import MANIFEST, MANIFEST_COPY
from ngdiff.output_folder import check_file, check_output
from ngdiff.paths import user_path
from ngdiff.writing import write_json


@pytest.fixture
def run(tmp_path: Path) -> Path:
    """A folder that an earlier run wrote."""
    folder = tmp_path / "run"
    checkpoint_folder(folder, 3).mkdir(parents=True)
    (checkpoint_folder(folder, 3) / MANIFEST_COPY).write_text("{}")
    (folder / "notes of mine").mkdir()
    write_json(folder / MANIFEST, {"versions": {"ngdiff": "0.0.1"}})
    return folder


def test_an_empty_path() -> None:
    with pytest.raises(InputError, match=r"^--output is empty; give a path$"):
        check_output("")
    with pytest.raises(InputError, match=r"^a path is empty; give one$"):
        user_path("")
    assert user_path(".") == Path()


@pytest.mark.skipif(not Path("/proc/self").exists(), reason="needs /proc, where no folder can be made")
def test_a_place_where_nothing_can_be_made() -> None:
    for check, target in ((check_output, "/proc/x"), (check_output, "/proc/x/y"), (check_file, "/proc/x")):
        with pytest.raises(InputError, match=rf"^--output {target}: (nothing can be made in /proc|/proc may not)"):
            check(target)


def test_a_place_that_can_be_written_is_left_as_it_is(tmp_path: Path) -> None:
    check_output(tmp_path / "new")
    check_file(tmp_path / "new.txt")
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "name", ["manifest.json", "config.yaml", "report/training_log.json", "report/curves.png", "metrics.json"]
)
def test_a_folder_in_place_of_a_file(run: Path, name: str) -> None:
    (run / name).unlink(missing_ok=True)
    (run / name).mkdir(parents=True)
    with pytest.raises(InputError, match=rf"^--resume: .*{name} is a folder, where a file belongs; move it away"):
        check_output(run, resume=True)


@pytest.mark.parametrize(
    "name", ["checkpoints", "private", "report", "reference", "base_model", "ruined", "merged_base"]
)
def test_a_file_in_place_of_a_folder(run: Path, name: str) -> None:
    if (run / name).is_dir():
        shutil.rmtree(run / name)
    (run / name).write_text("")
    with pytest.raises(InputError, match=rf"^--resume: .*{name} is a file, where a folder belongs; move it away"):
        check_output(run, resume=True)


def test_other_things_in_a_run_folder_are_no_obstacle(run: Path) -> None:
    assert check_output(run, resume=True) == run


@pytest.mark.parametrize("earlier", [False, True], ids=["this version", "an earlier one"])
def test_a_lost_manifest_is_told_with_what_can_be_done(run: Path, earlier: bool) -> None:
    if earlier:
        checkpoint_folder(run, 3).rename(run / "checkpoint-3")
    (run / MANIFEST).unlink()
    assert check_output(run, resume=True) == run
    with pytest.raises(InputError, match=r"holds checkpoints of a run and no manifest\.json.*--resume goes on with it"):
        check_output(run, overwrite=True)
