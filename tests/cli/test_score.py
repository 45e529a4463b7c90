"""`ngdiff score`: files in, table and metrics.json out, without torch."""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ngdiff.cli import main
from ngdiff.metrics import score
from ngdiff.scoring import read_sets


def record(loss: float, generated: str = "a cat", **more: Any) -> dict[str, Any]:
    wrong = {"nll_sum": 2.5 * loss, "n_tokens": 1}
    return {"reference": "a cat", "generated": generated, "nll_sum": loss, "n_tokens": 1, "perturbed": [wrong], **more}


SETS = {
    "forget": [record(1.0 + i, "a dog") for i in range(6)],
    "retain": [record(0.1 + 0.01 * i) for i in range(6)],
    "holdout": [record(2.0 + i, "") for i in range(6)],
}


def write(folder: Path, sets: dict[str, list[dict[str, Any]]] = SETS) -> Path:
    (folder / "private").mkdir(parents=True)
    for name, records in sets.items():
        lines = [json.dumps({"set": name, "index": i, **r}) + "\n" for i, r in enumerate(records)]
        (folder / "private" / f"records_{name}.jsonl").write_text("".join(lines))
    return folder


@pytest.fixture
def evaluation(tmp_path: Path) -> Path:
    return write(tmp_path / "run")


def fails(capsys: pytest.CaptureFixture[str], *words: object) -> str:
    assert main(["score", *map(str, words)]) == 2
    out, err = capsys.readouterr()
    assert out == ""
    return err.removeprefix("ngdiff: error: ").rstrip("\n")


def test_a_folder_is_scored_as_by_the_function(evaluation: Path, tmp_path: Path, capsys) -> None:
    target = tmp_path / "metrics.json"
    assert main(["score", str(evaluation), "--output", str(target)]) == 0
    assert json.loads(target.read_text()) == score(read_sets([evaluation]), confidence=0.95)
    lines = capsys.readouterr().out.splitlines()
    assert "95 % interval" in lines[0]
    assert lines[-1] == f"Written to {target}"
    assert any(line.startswith("  AUC loss") for line in lines)


def test_files_are_scored_as_their_folder_and_options_may_stand_between(evaluation: Path, tmp_path: Path) -> None:
    files = sorted(map(str, (evaluation / "private").iterdir()))
    whole, parts = tmp_path / "whole.json", tmp_path / "parts.json"
    whole.write_text("{}")  # replaced
    assert main(["score", "--overwrite", str(evaluation), "--confidence", "0.8", "--output", str(whole)]) == 0
    assert main(["score", files[0], f"--output={parts}", *files[1:], "--confidence", "0.8"]) == 0
    assert json.loads(whole.read_text()) == json.loads(parts.read_text())
    assert json.loads(whole.read_text())["confidence"]["level"] == 0.8


def test_without_intervals(evaluation: Path, tmp_path: Path, capsys) -> None:
    target = tmp_path / "metrics.json"
    assert main(["score", str(evaluation), "--confidence", "none", "--output", str(target)]) == 0
    assert "% interval" not in capsys.readouterr().out
    assert json.loads(target.read_text()) == score(SETS)


def test_a_retrained_model_gives_forget_quality_and_a_column(evaluation: Path, tmp_path: Path, capsys) -> None:
    retrained = write(tmp_path / "retrained", {"forget": [record(4.0 + i) for i in range(6)]})
    target = tmp_path / "metrics.json"
    assert main(["score", str(evaluation), "--retrained", str(retrained), "--output", str(target)]) == 0
    expected = score(SETS, retrained=read_sets([retrained]))["forget_quality"]
    assert json.loads(target.read_text())["forget_quality"] == expected
    out = capsys.readouterr().out
    assert out.splitlines()[0].split() == ["value", "95", "%", "interval", "retrained"]
    assert re.search(rf"forget quality +↑ +{expected:.4f}", out)
    # rows that all say "a cat" in the retrained model, and "a dog" in the other
    no_unit, note = (line for line in out.splitlines() if line.startswith("note:") and "(holdout)" not in line)
    assert no_unit == (
        "note: no D (retrained), whose unit is the model before unlearning (--before); differences: --output, "
        "distance.parts"
    )
    assert note.startswith(
        "note: the model is over-forgotten, beyond the 95 % interval of retrained: Verbmem 0.5000 < 0.5"
    )


def test_a_retrained_model_that_hardly_knows_the_retain_rows(evaluation: Path, tmp_path: Path, capsys) -> None:
    before = write(tmp_path / "before")
    wrong = write(tmp_path / "wrong", {**SETS, "retain": [record(20.0) for _ in range(6)]})
    for others in ([], ["--before", str(before)]):
        assert main(["score", str(evaluation), "--retrained", str(wrong), *others]) == 0
        assert "note: retrained hardly knows the retain rows: loss " in capsys.readouterr().out
    assert main(["score", str(evaluation), "--retrained", str(before), "--before", str(wrong)]) == 0
    assert "hardly knows" not in capsys.readouterr().out


def test_a_retrained_model_of_other_rows_is_refused(evaluation: Path, tmp_path: Path, capsys) -> None:
    few = write(tmp_path / "few", {"forget": SETS["forget"][:4]})
    target = tmp_path / "metrics.json"
    assert fails(capsys, evaluation, "--retrained", few, "--output", target) == (
        "forget quality compares two models on the same rows, but there are records of 6 rows of the model and of 4 of "
        "the retrained one; evaluate both on the same file"
    )
    rows = [{**row, "reference": "a bird"} if i == 4 else row for i, row in enumerate(SETS["forget"])]
    other = write(tmp_path / "other", {"forget": rows})
    assert "but 1 of 6 rows of the model is not among those of the retrained one (first: record 0" in fails(
        capsys, evaluation, "--retrained", other, "--output", target
    )
    assert not target.exists()


def test_a_retrained_model_that_cannot_be_compared_with_is_said(evaluation: Path, tmp_path: Path, capsys) -> None:
    retrained = write(tmp_path / "retrained", {"forget": [record(4.0, perturbed=[]) for _ in range(6)]})
    assert main(["score", str(evaluation), "--retrained", str(retrained)]) == 0
    assert "note: no forget quality, which needs perturbed answers of the set" in capsys.readouterr().out


def test_nothing_is_said_of_answers_and_tokens_that_images_do_not_have(tmp_path: Path, capsys) -> None:
    images = {"forget": [{"label": 1, "predicted": 0, "nll_sum": 1.0 + i, "n_tokens": 1} for i in range(6)]}
    run, retrained = write(tmp_path / "run", images), write(tmp_path / "retrained", images)
    assert main(["score", str(run), "--retrained", str(retrained)]) == 0
    said = capsys.readouterr().out
    assert "accuracy" in said
    assert "forget quality" not in said
    assert "PrivLeak" not in said


def test_privleak_is_taken_against_the_corpus_or_the_retrained_model(tmp_path: Path) -> None:
    def passages(*values: float) -> list[dict[str, Any]]:
        return [record(value, generated=None, token_nll=[value]) for value in values]  # type: ignore[arg-type]

    run = write(tmp_path / "run", {"muse_privleak_forget": passages(1, 4), "muse_privleak_holdout": passages(2, 3)})
    sets = {"muse_privleak_forget": passages(3, 1), "muse_privleak_holdout": passages(2, 0.5)}
    retrained = write(tmp_path / "retrained", sets)
    found = {}
    for name, words in {"news": [], "books": ["--muse-corpus=books"], "own": ["--retrained", str(retrained)]}.items():
        target = tmp_path / f"{name}.json"
        assert main(["score", str(run), "--output", str(target), *words]) == 0
        found[name] = json.loads(target.read_text())["privleak"]
    assert found["news"] == pytest.approx(100 * (0.5 - 0.4772) / 0.4772)
    assert found["books"] == pytest.approx(100 * (0.5 - 0.5393) / 0.5393)
    # P(holdout below forget): both below the passage of loss 3, one below that of loss 1
    assert found["own"] == pytest.approx(100 * (0.5 - 0.75) / 0.75)


def test_neither_torch_nor_transformers_is_imported(evaluation: Path, tmp_path: Path) -> None:
    program = (
        "import sys\n"
        "from ngdiff.cli import main\n"
        f"run = {str(evaluation)!r}\n"
        "assert main(['score', run, '--retrained', run, '--output', run + '/metrics.json']) == 0\n"
        f"assert main(['compare', run, 'again=' + run, '--output', {str(tmp_path / 'table.txt')!r}]) == 0\n"
        "assert not {'torch', 'transformers'} & sys.modules.keys()\n"
    )
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, timeout=120, check=False)
    assert done.returncode == 0, done.stderr
    assert (evaluation / "metrics.json").is_file()
    assert (tmp_path / "table.txt").read_text().startswith("       Verbmem ↓")


def test_a_broken_line_is_named_and_nothing_is_written(evaluation: Path, tmp_path: Path, capsys) -> None:
    path = evaluation / "private" / "records_retain.jsonl"
    path.write_text(path.read_text() + '{"nll_sum": 1.0, "n_tokens": 0}\n')
    target = tmp_path / "metrics.json"
    assert fails(capsys, evaluation, "--output", target) == (
        f"{path}, line 7: n_tokens is 0; it must be a whole number, 1 or more"
    )
    assert not target.exists()


def test_options_that_cannot_be_used(evaluation: Path, tmp_path: Path, capsys) -> None:
    records = evaluation / "private" / "records_forget.jsonl"
    before = records.read_text()
    assert fails(capsys) == "ngdiff score needs RECORDS..."
    assert fails(capsys, "--output", "x") == "ngdiff score needs RECORDS..."
    assert fails(capsys, evaluation, "--confidence", 95) == "--confidence 95 is not from above 0 to below 1"
    assert fails(capsys, evaluation, "--seed", -1) == "--seed -1 is not from 0 to 4,294,967,295"
    assert fails(capsys, evaluation, "--muse-corpus", "wiki") == "--muse-corpus wiki is not known; one of news, books"
    assert fails(capsys, evaluation, "--retrain", "x").startswith(
        "--retrain is no option of ngdiff score; did you mean"
    )
    assert fails(capsys, tmp_path / "no") == f"{tmp_path / 'no'}: no such file or folder"
    assert (
        fails(capsys, evaluation, "--retrained", tmp_path / "no")
        == f"--retrained {tmp_path / 'no'}: no such file or folder"
    )
    assert fails(capsys, evaluation, "--output", tmp_path) == f"--output {tmp_path}: this is a folder; give a file."
    assert fails(capsys, evaluation, "--output", records, "--overwrite") == (
        f"--output {records} is a file that is read; choose another."
    )
    assert records.read_text() == before


def test_what_only_a_model_can_tell_outlives_another_scoring(evaluation: Path, capsys) -> None:
    target = evaluation / "metrics.json"
    tasks = {"arc_easy": {"acc,none": 0.5}}
    target.write_text(json.dumps({"forget": {"n": 1}, "lm_eval": tasks}))
    assert main(["score", str(evaluation), "--output", str(target), "--overwrite"]) == 0
    assert json.loads(target.read_text()) == {**score(read_sets([evaluation]), confidence=0.95), "lm_eval": tasks}
    capsys.readouterr()
    target.write_text("a letter to my aunt")
    assert fails(capsys, evaluation, "--output", target, "--overwrite").startswith(
        f"{target} is not a valid metrics.json"
    )
    assert target.read_text() == "a letter to my aunt"


def test_the_model_before_gives_distance_and_collateral(evaluation: Path, tmp_path: Path, capsys) -> None:
    def model(name: str, forget: float, holdout: float) -> Path:
        levels = {"forget": forget, "retain": 0.1, "holdout": holdout}
        return write(tmp_path / name, {s: [record(x + 0.1 * i) for i in range(6)] for s, x in levels.items()})

    before, retrained, base = model("before", 0.01, 2.0), model("retrained", 4.0, 2.1), model("base", 3.0, 2.0)
    target = tmp_path / "metrics.json"
    rows = {"forget": "a dog", "retain": "a cat", "holdout": ""}
    own = write(tmp_path / "own", {s: [record(2.0 + 0.1 * i, text) for i in range(6)] for s, text in rows.items()})
    words = ["--before", str(before), "--retrained", str(retrained), "--base", str(base), "--output", str(target)]
    assert main(["score", str(own), *words]) == 0
    sets = {name: read_sets([tmp_path / name]) for name in ("before", "retrained", "base")}
    expected = score(read_sets([own]), confidence=0.95, **sets)  # type: ignore[arg-type]
    assert json.loads(target.read_text()) == expected
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["before", "value", "95", "%", "interval", "retrained"]
    assert any(line.split()[:4] == ["D", "(retrained)", "↓", "-"] for line in lines)
    value = expected["distance"]["parts"]["loss"]["value"]
    assert any(line.split() == ["D", "(retrained):", "loss", "→0", "-", f"{value:.4f}", "-", "-"] for line in lines)
    assert any(line.startswith("  collateral (holdout), nats") for line in lines)
    assert any(line.startswith("note: D (retrained) leaves out extraction_strength: no extract") for line in lines)
    assert (
        fails(capsys, evaluation, "--before", tmp_path / "no") == f"--before {tmp_path / 'no'}: no such file or folder"
    )
    few = write(tmp_path / "few", {"forget": SETS["forget"][:4]})
    assert "of 6 rows of the model and of 4 of the one before" in fails(capsys, evaluation, "--before", few)
