"""Ways to run `ngdiff`, and to look at what a run wrote."""

import contextlib
import io
import json
import shutil
import subprocess
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from safetensors.torch import load_file, save_file

from ngdiff.cli import main


@dataclass(frozen=True)
class Outcome:
    """How a run ended."""

    status: int
    out: str
    err: str

    @property
    def error(self) -> str:
        """Its one line of error; progress bars of the same stream stand before it."""
        lines = [line for line in self.err.splitlines() if line.startswith("ngdiff: error: ")]
        assert len(lines) == 1, self.err
        assert "Traceback" not in self.err
        return lines[0].removeprefix("ngdiff: error: ")


@dataclass(frozen=True)
class Material:
    """What the runs start from.

    Attributes:
        model: Folder of the micro model.
        shape: Its config, to start others from.
        data: Folder of `forget.jsonl` (4 rows), `retain.jsonl` (12 rows) and `full.jsonl`.
    """

    model: Path
    shape: Path
    data: Path

    @property
    def forget(self) -> Path:
        return self.data / "forget.jsonl"

    @property
    def retain(self) -> Path:
        return self.data / "retain.jsonl"

    def words(self, output: Path, *more: Any, **options: Any) -> list[str]:
        """`unlearn` with the material's model and sets; `options` replace them or add to them.

        Checkpoints stay: a done run, of which files are deleted, serves as one that was killed. The method is ascent,
        which is the fastest; None for the default.
        """
        named = {"model": self.model, "forget": self.forget, "retain": self.retain, "output": output}
        named |= {"keep_checkpoints": True, "method": "ngdiff", **options}
        words = [f"--{name.replace('_', '-')}={value}" for name, value in named.items() if value is not None]
        return ["unlearn", *words, *map(str, more)]


def run(*words: Any) -> Outcome:
    """`ngdiff WORDS` in this process."""
    out, err = io.StringIO(), io.StringIO()
    with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
        status = main([str(word) for word in words])
    return Outcome(status, out.getvalue(), err.getvalue())


def start(words: Iterable[Any], **options: Any) -> "subprocess.Popen[str]":
    """`ngdiff WORDS` as a process of its own."""
    command = [sys.executable, "-m", "ngdiff", *map(str, words)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def finish(process: "subprocess.Popen[str]", timeout: float = 120) -> Outcome:
    """Wait for the end of a process."""
    out, err = process.communicate(timeout=timeout)
    return Outcome(process.returncode, out, err)


def succeeded(outcome: Outcome) -> Outcome:
    assert outcome.status == 0, outcome.err
    return outcome


def rows_of(file: Path) -> list[dict[str, Any]]:
    """Rows of a JSON Lines file."""
    return [json.loads(line) for line in file.read_text(encoding="utf-8").splitlines()]


def write_rows(file: Path, rows: Iterable[Any]) -> Path:
    """Rows to a JSON Lines file."""
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


def log_of(folder: Path) -> dict[str, Any]:
    """The training log of a run."""
    return json.loads((folder / "report" / "training_log.json").read_text())


def steps_of(folder: Path) -> list[dict[str, Any]]:
    """Its lines of single steps: losses, norms, learning rate and all."""
    return [row for row in log_of(folder)["steps"] if "loss_forget" in row]


def weights_of(folder: Path, name: str = "model.safetensors") -> dict[str, bytes]:
    """The weights of a saved model, bit by bit."""
    return {key: value.numpy().tobytes() for key, value in load_file(folder / name).items()}


def everything_in(folder: Path) -> dict[str, bytes]:
    """All files below a folder."""
    return {str(path.relative_to(folder)): path.read_bytes() for path in sorted(folder.rglob("*")) if path.is_file()}


def evaluate_words(material: Material, output: Path | None, *more: Any) -> list[Any]:
    """`evaluate` with the material's model and sets."""
    out = [] if output is None else ["--output", output]
    sets = ["--forget", material.forget, "--retain", material.retain]
    return ["evaluate", "--model", material.model, *sets, *out, *more]


def records_of(folder: Path) -> dict[str, bytes]:
    """The records of an evaluation by file name."""
    return {path.name: path.read_bytes() for path in (folder / "private").glob("records_*")}


def twin(model: Path, folder: Path) -> Path:
    """A copy of a model with the same weights in a file of another hash, as a reference that says the same."""
    shutil.copytree(model, folder)
    weights = folder / "model.safetensors"
    save_file(load_file(weights), weights, metadata={"format": "pt", "of": "a twin"})
    return folder
