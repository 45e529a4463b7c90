"""The output folder of an evaluation, from its check to its last manifest. Nothing is predicted here."""

import json
import re
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from ngdiff.cli.evaluation_folder import EvaluationFolder
from ngdiff.cli.options import OutputOptions
from ngdiff.cli.signals import SIGNALS
from ngdiff.errors import InputError
from ngdiff.evaluation import EvaluationResult
from ngdiff.evaluation.processes import Processes

RESULT = EvaluationResult({"forget": {"loss": 2.5}}, {"forget": [{"index": 0}]})


@dataclass
class WithoutResume:
    """Options of an evaluation that always starts anew."""

    output: str | None
    overwrite: bool = False


@dataclass
class Evaluation:
    """What the folder asks of an evaluation."""

    rows: str = "ab"
    inputs: list[Any] = field(default_factory=list)
    own: dict[str, Any] = field(default_factory=dict)
    template: str | None = "plain"
    template_text: str | None = "{question} {answer}"
    seed: int = 7
    hashed: int = 0

    def data(self) -> dict[str, Any]:
        self.hashed += 1
        return {"forget": {"rows": len(self.rows), "rows_sha256": self.rows}}

    def model_files(self) -> dict[str, Any]:
        return {"source": "owner/name"}


@pytest.fixture(autouse=True)
def signals(monkeypatch):
    monkeypatch.setattr(SIGNALS, "resumable", False)


@pytest.fixture
def place(tmp_path: Path) -> Path:
    return tmp_path / "evaluation"


def folder_at(place: Path, evaluation: Evaluation | None = None, **options: bool) -> EvaluationFolder:
    return EvaluationFolder(["--x"], OutputOptions(output=str(place), **options), evaluation or Evaluation())


def manifest(place: Path) -> dict[str, Any]:
    return json.loads((place / "manifest.json").read_text())


def finish(place: Path) -> None:
    with folder_at(place).begun_by(Processes()) as folder:
        folder.write(RESULT)


def stop_in_the_middle(folder: EvaluationFolder) -> None:
    """One batch is found, then Ctrl-C comes."""
    with suppress(KeyboardInterrupt), folder.begun_by(Processes()):
        folder.journal.add("losses", [0], [2.5])
        raise KeyboardInterrupt


def test_a_folder_that_is_not_ours_is_refused_when_it_is_named(place):
    place.mkdir()
    (place / "notes.txt").write_text("mine")
    with pytest.raises(InputError, match=re.escape(str(place))):
        folder_at(place)
    assert (place / "notes.txt").exists()


def test_nothing_is_written_before_the_evaluation_begins(place):
    folder_at(place)
    assert not place.exists()


def test_files_and_manifests_of_an_evaluation(place):
    evaluation = Evaluation()
    with folder_at(place, evaluation).begun_by(Processes()) as folder:
        first = manifest(place)
        assert (place / "private").stat().st_mode & 0o077 == 0
        folder.write(RESULT)
    last = manifest(place)
    assert (first["extra"], last["extra"]) == (
        {"finished": False, "processes": 1},
        {"finished": True, "processes": 1},
    )
    assert first["outputs"] == {}
    assert last["outputs"].keys() == {"metrics.json", "private/records_forget.jsonl"}
    assert (last["command"], last["seed"], last["template"]) == (["ngdiff", "evaluate", "--x"], 7, "plain")
    assert evaluation.hashed == 1  # files may be large


def test_without_an_output_nothing_is_written(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    folder = EvaluationFolder([], OutputOptions(output=None), Evaluation())
    with folder.begun_by(Processes()):
        folder.journal.add("losses", [0], [2.5])
        folder.write(RESULT)
    assert list(tmp_path.iterdir()) == []
    assert not SIGNALS.resumable


def test_what_was_found_is_kept_until_all_is(place):
    stop_in_the_middle(folder_at(place))
    assert manifest(place)["extra"]["finished"] is False
    again = folder_at(place, resume=True)
    assert again.finished() is None
    with again.begun_by(Processes()):
        assert again.journal.finished("losses") == {0: 2.5}
        again.write(RESULT)
    assert not list(place.glob("private/partial*"))
    assert manifest(place)["extra"]["finished"] is True


def test_a_finished_evaluation_is_read_and_a_damaged_one_is_not(place):
    finish(place)
    assert folder_at(place, resume=True).finished() == RESULT.as_json()
    (place / "metrics.json").write_text("{}")
    assert folder_at(place, resume=True).finished() is None


def test_another_evaluation_is_not_gone_on_with(place):
    finish(place)
    with pytest.raises(InputError, match="--forget does not hold what it held"):
        folder_at(place, Evaluation(rows="cd"), resume=True).finished()


def test_without_resume_nothing_is_finished_and_an_earlier_one_goes_when_the_next_begins(place):
    finish(place)
    folder = folder_at(place, overwrite=True)
    assert folder.finished() is None
    assert (place / "metrics.json").exists()
    folder.begun_by(Processes())
    assert not (place / "metrics.json").exists()


def test_an_evaluation_that_cannot_go_on_keeps_no_journal(place):
    stop_in_the_middle(EvaluationFolder([], WithoutResume(str(place)), Evaluation()))
    assert not SIGNALS.resumable
    assert not list(place.glob("private/partial*"))
    with pytest.raises(InputError, match="--overwrite") as caught:
        EvaluationFolder([], WithoutResume(str(place)), Evaluation())
    assert "--resume" not in str(caught.value)


def test_only_the_process_that_leads_writes(place, monkeypatch):
    monkeypatch.setenv("RANK", "1")
    with folder_at(place).begun_by(Processes(rank=1, size=2)) as folder:
        folder.write(RESULT)
    assert not place.exists()
    assert SIGNALS.resumable  # of this process, too: the others' files are there
