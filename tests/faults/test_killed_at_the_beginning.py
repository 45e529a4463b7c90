"""A run that is killed before, within or after any of its first files can be resumed, and overwritten."""

import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from ngdiff import writing

from ..end_to_end.runs import evaluate_words, records_of, run, succeeded, weights_of


class Killed(BaseException):
    """Nothing of ours catches it."""


@pytest.fixture
def kill_at(monkeypatch: pytest.MonkeyPatch) -> Callable[[int, str], None]:
    """`kill_at(n, when)`: the run ends at the n-th file, "within" it (half of it stays) or "before" it."""
    write = writing.write_bytes

    def kill(number: int, when: str) -> None:
        left = [number]

        def write_bytes(path: str | Path, content: bytes, *, private: bool = False) -> None:
            left[0] -= 1
            if left[0] == 0:
                if when == "within":
                    path = Path(path)
                    path.with_name(f".{path.name}.4711.partial").write_bytes(content[: len(content) // 2])
                raise Killed
            write(path, content, private=private)

        monkeypatch.setattr(writing, "write_bytes", write_bytes)

    return kill


def finetune_words(material: Any, output: Path) -> list[Any]:
    words = ["--model", material.model, "--train", material.retain, "--output", output]
    return ["finetune", *words, "--num-train-epochs", 1]


@pytest.mark.parametrize(
    ("command", "number", "when"),
    [
        pytest.param("unlearn", 1, "before", marks=pytest.mark.slow),
        ("unlearn", 1, "within"),
        ("unlearn", 2, "before"),
        pytest.param("unlearn", 2, "within", marks=pytest.mark.slow),
        pytest.param("finetune", 2, "within", marks=pytest.mark.slow),
        pytest.param("evaluate", 1, "within", marks=pytest.mark.slow),
        ("evaluate", 2, "within"),
        pytest.param("evaluate", 3, "within", marks=pytest.mark.slow),
    ],
)
def test_killed_at_one_of_the_first_files(material, tmp_path, whole, kill_at, copy_of, command, number, when):
    def words(folder: Path) -> list[Any]:
        if command == "evaluate":
            return evaluate_words(material, folder, "--tokens-per-batch", 80, "--grad-norm")
        return material.words(folder, max_steps=1) if command == "unlearn" else finetune_words(material, folder)

    killed = tmp_path / "killed"
    kill_at(number, when)
    with pytest.raises(Killed):
        run(*words(killed))
    kill_at(0, "")  # never
    assert killed.is_dir()
    other = copy_of(killed)
    succeeded(run(*words(killed), "--resume"))
    succeeded(run(*words(other), "--overwrite"))
    if command == "evaluate":
        assert records_of(killed) == records_of(other) == records_of(whole)
    else:
        assert weights_of(killed) == weights_of(other)
    assert not [path for folder in (killed, other) for path in folder.rglob("*") if path.name.endswith(".partial")]
    if number == 1 and when == "before":  # an empty folder
        shutil.rmtree(killed)
        killed.mkdir()
        succeeded(run(*words(killed)))


@pytest.mark.parametrize("number", [1, 4])
def test_a_demo_that_is_killed_can_be_overwritten(tmp_path, kill_at, number):
    kill_at(number, "within")
    words = ["demo", "--people", 10, "--output", tmp_path / "demo"]
    with pytest.raises(Killed):
        run(*words)
    kill_at(2, "")  # the second time it is only looked whether it begins
    with pytest.raises(Killed):
        run(*words, "--overwrite")
    assert [path.name for path in (tmp_path / "demo").iterdir()] == ["manifest.json"]


def test_a_half_written_model_is_removed_when_the_run_goes_on(material, tmp_path):
    words = material.words(tmp_path / "run", num_train_epochs=1)
    succeeded(run(*words))
    (tmp_path / "run" / "model.safetensors").unlink()
    left = tmp_path / "run" / ".partial-a1b2c3d4"
    left.mkdir()
    (left / "model.safetensors").write_bytes(b"half")
    (tmp_path / "run" / ".partial-mine").mkdir()
    succeeded(run(*words, "--resume"))
    assert [path.name for path in (tmp_path / "run").glob(".*")] == [".partial-mine"]
