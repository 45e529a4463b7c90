"""`ngdiff score` over the numbers of an evaluation, which `ngdiff verify` then still knows."""

import json
import shutil
from pathlib import Path
from typing import Any

import pytest

from ngdiff.cli import main
from ngdiff.evidence.seal import sealed
from ngdiff.evidence.verify import verify
from ngdiff.exit_codes import REQUIREMENT_NOT_MET
from ngdiff.hashes import sha256_folder
from ngdiff.writing import write_json

from .made import write_run

RECORD = {"set": "forget", "reference": "a", "generated": "b", "n_tokens": 1}
RECORDS = [{**RECORD, "index": i, "nll_sum": 1.0 + i} for i in range(3)]


def evaluation(
    root: Path, name: str, numbers: dict[str, Any] | None = None, model: dict[str, Any] | None = None
) -> Path:
    """A folder as `ngdiff evaluate` leaves it, of another model where that is given."""
    folder = write_run(root, name, command=["ngdiff", "evaluate"]).output
    for path in folder.iterdir():
        if path.name not in ("manifest.json", "config.yaml"):
            shutil.rmtree(path) if path.is_dir() else path.unlink()
    (folder / "private").mkdir()
    (folder / "private" / "records_forget.jsonl").write_text("".join(json.dumps(one) + "\n" for one in RECORDS))
    write_json(folder / "metrics.json", numbers or {"forget": {"n": 3}})
    manifest = json.loads((folder / "manifest.json").read_text())
    manifest["outputs"] = sha256_folder(folder)
    manifest["model"] = model or manifest["model"]
    del manifest["outputs"]["manifest.json"], manifest["outputs"]["config.yaml"]
    write_json(folder / "manifest.json", sealed(manifest))
    return folder


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    return evaluation(tmp_path, "scores")


def faults(folder: Path) -> list[str]:
    return [fault for check in verify(folder) for fault in check.faults]


def scored(folder: Path, *words: object) -> None:
    """`score --output` over the numbers of the folder."""
    target = folder / "metrics.json"
    assert main(["score", *map(str, words or [folder]), "--output", str(target), "--overwrite"]) == 0


def test_the_manifest_says_what_was_compared(folder: Path, tmp_path: Path) -> None:
    before = evaluation(tmp_path, "before", model={"files": {"model.safetensors": "0" * 64}})
    assert faults(folder) == []
    scored(folder, folder, "--before", before)
    assert faults(folder) == []
    said = json.loads((folder / "manifest.json").read_text())["extra"]["scored"]
    assert list(said["against"]) == ["before"]
    assert list(said["against"]["before"]) == [str(before / "private" / "records_forget.jsonl")]
    assert said["command"][:2] == ["ngdiff", "score"]


def test_numbers_of_other_records_are_a_change(folder: Path, tmp_path: Path) -> None:
    scored(folder, evaluation(tmp_path, "other"))
    assert [fault.split(":")[0] for fault in faults(folder)] == ["metrics.json is changed"]


def test_records_that_were_changed_stay_a_change(folder: Path) -> None:
    (folder / "private" / "records_forget.jsonl").write_text("".join(json.dumps(one) + "\n" for one in RECORDS[:2]))
    scored(folder)
    assert len(faults(folder)) == 2


def test_what_the_evaluation_was_to_reach_is_judged_again(folder: Path, capsys: pytest.CaptureFixture[str]) -> None:
    manifest = json.loads((folder / "manifest.json").read_text())
    verdict = {"require": "forget.loss>=9", "value": 2.0, "before": None, "bound": 9.0, "met": False}
    manifest["extra"] |= {"requirements": [verdict["require"]], "verdicts": [verdict]}
    write_json(folder / "manifest.json", sealed(manifest))
    assert main(["score", str(folder)]) == REQUIREMENT_NOT_MET
    assert "first forget.loss>=9: " in capsys.readouterr().err


@pytest.mark.parametrize("changed", [False, True])
def test_general_abilities_are_taken_over_from_numbers_as_they_were_written(tmp_path: Path, *, changed: bool) -> None:
    folder = evaluation(tmp_path, "scores", {"forget": {"n": 3}, "lm_eval": {"arc_easy": {"acc,none": 0.25}}})
    if changed:
        (folder / "metrics.json").write_text((folder / "metrics.json").read_text().replace("0.25", "0.75"))
    scored(folder)
    assert bool(faults(folder)) is changed
