"""Numbers of two models that stand side by side are of the same rows, and an audit is of the model evaluated."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from ngdiff.cli import main
from ngdiff.cli.require import Judge, rows_before
from ngdiff.cli.score import ScoreOptions
from ngdiff.errors import InputError

from ..report.made import make_evaluation, make_run


def records(folder: Path, sets: dict[str, list[str]]) -> Path:
    (folder / "private").mkdir(parents=True)
    for name, answers in sets.items():
        lines = [
            json.dumps({"set": name, "reference": answer, "generated": answer, "nll_sum": 1.0, "n_tokens": 1}) + "\n"
            for answer in answers
        ]
        (folder / "private" / f"records_{name}.jsonl").write_text("".join(lines))
    return folder


@pytest.fixture
def folders(tmp_path: Path) -> tuple[Path, Path]:
    """The model after and before, with other rows to be kept."""
    after = records(tmp_path / "after", {"forget": ["a", "b"], "retain": ["c", "d"]})
    return after, records(tmp_path / "before", {"forget": ["b", "a"], "retain": ["c", "e"]})


def test_other_rows_are_named(folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    after, before = map(str, folders)
    for option in ("--before", "--retrained"):
        assert main(["score", after, option, before]) == 0
        note = f"note: {option[2:]} is of other rows of retain, whose numbers do not compare"
        assert note in capsys.readouterr().out
    shutil.copytree(after, before + "-of-these")
    assert main(["score", after, "--before", before + "-of-these"]) == 0
    assert "other rows" not in capsys.readouterr().out


def test_a_bound_by_other_rows_is_refused(folders: tuple[Path, Path], capsys: pytest.CaptureFixture[str]) -> None:
    after, before = map(str, folders)
    assert main(["score", after, "--before", before, "--require", "utility>=0.9*before"]) == 2
    assert "utility>=0.9*before: --before is of other rows of retain" in capsys.readouterr().err
    assert main(["score", after, "--before", before, "--require", "verbmem<=1.1*before, utility>=0.9"]) == 0


def test_so_it_is_by_hashes(tmp_path: Path) -> None:
    then: dict[str, Any] = rows_before(str(make_evaluation(tmp_path / "before")))
    assert set(then) == {"forget", "retain"}
    judge = Judge(ScoreOptions(require="utility>=before", before="x"))
    judge.refuse_other_rows(["forget"])
    with pytest.raises(InputError, match="--before is of other rows of retain"):
        judge.refuse_other_rows(["retain"])


def test_an_audit_of_another_model(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    own, other = make_run(tmp_path / "run"), make_run(tmp_path / "other", weights="others")
    scores = make_evaluation(tmp_path / "scores", own)
    for name, run in (("right", own), ("wrong", other)):
        audit = make_evaluation(tmp_path / name, run, records=False)
        (audit / "audit.json").write_text('{"robustness": 0.5}')
    assert main(["score", str(scores), "--audit", str(tmp_path / "right")]) == 0
    for place in (tmp_path / "wrong", tmp_path / "wrong" / "audit.json"):
        assert main(["score", str(scores), "--audit", str(place)]) == 2
        assert f"--audit {place} attacks other weights than" in capsys.readouterr().err
