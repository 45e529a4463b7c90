"""`ngdiff check` on a model and rows."""

import json
from pathlib import Path

import pytest

from ngdiff.plurals import number_of

from .runs import Material, rows_of, run, succeeded, write_rows


def test_before_a_run(material: Material, tmp_path: Path) -> None:
    rows = rows_of(material.retain)
    sets = {
        "forget": material.forget,
        "retain": write_rows(tmp_path / "r.jsonl", rows[:8]),
        "holdout": write_rows(tmp_path / "h.jsonl", rows[8:]),
    }
    words = [word for name, file in sets.items() for word in (f"--{name}", file)]
    words = ["check", "--model", material.model, "--base-model", material.model, *words]
    outcome = run(*words, "--json", tmp_path / "c.json")
    found = {one["what"]: one for one in json.loads((tmp_path / "c.json").read_text())}
    assert found["steps"]["found"].startswith("15 (4 forget rows, 8 per step, 15 passes)")
    assert {
        "what the model knows of forget",
        "holdout of the same kind as forget",
        "length of retain rows",
    } <= found.keys()
    spoiled = [what for what, one in found.items() if one["severity"] == "spoils"]
    assert outcome.status == (7 if spoiled else 0)
    assert all(what in outcome.out for what in found)
    texts = {row["answer"] for row in rows_of(material.forget)}
    assert not any(text in outcome.out for text in texts)


def test_rows_in_both_sets_end_with_a_code_of_their_own(material: Material, tmp_path: Path) -> None:
    kept = write_rows(tmp_path / "r.jsonl", rows_of(material.forget)[:1] + rows_of(material.retain))
    outcome = run("check", "--model", material.model, "--forget", material.forget, "--retain", kept)
    assert outcome.status == 7
    assert "rows in forget and retain" in outcome.out
    spoils = outcome.out.count("\nspoils") + outcome.out.startswith("spoils")
    assert f"{number_of(spoils, 'finding')} would" in outcome.error
    assert succeeded(run("check", "--help")).out.startswith("usage: ngdiff check")


def test_unlearn_warns_of_near_duplicates_and_says_so_in_its_manifest(
    material: Material, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """A warning, and no failure; a run that goes on may leave the search out."""
    loud = {name: rows_of(material.forget)[0][name].upper() + " !" for name in ("question", "answer")}
    retain = write_rows(tmp_path / "r.jsonl", [*rows_of(material.retain), loud])
    words = material.words(tmp_path / "out", retain=retain, max_steps=1)
    succeeded(run(*words))
    assert "Near-duplicates in forget and retain: 1 of 13 retain rows, 1 of them with the same words" in caplog.text
    caplog.clear()
    (found,) = json.loads((tmp_path / "out" / "manifest.json").read_text())["extra"]["checks"]
    assert (found["what"], found["severity"]) == ("near-duplicates in forget and retain", "spoils")
    assert loud["answer"] not in json.dumps(found)
    assert "is done" in succeeded(run(*words, "--no-check", "--resume")).out
    assert "Near-duplicates" not in caplog.text
