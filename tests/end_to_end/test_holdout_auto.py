"""`--holdout auto`: rows that no model has seen, to know how far to forget; never as numbers of an evaluation."""

import json
import shlex
from pathlib import Path

import pytest

from ngdiff.data import unseen_people

from .runs import Material, run, succeeded, weights_of


@pytest.mark.parametrize("more", [[], ["--holdout", "auto"]], ids=["not given", "given"])
def test_a_run_with_made_up_holdout_rows(material: Material, tmp_path: Path, more: list[str]) -> None:
    words = material.words(tmp_path / "u", method=None, max_steps=3, learning_rate=1e-3)
    out = succeeded(run(*words, *more)).out
    manifest = json.loads((tmp_path / "u" / "manifest.json").read_text())
    assert manifest["data"]["holdout"]["source"] == "auto: questions about people who do not exist"
    assert manifest["data"]["holdout"]["rows"] == len(unseen_people())
    assert "files" not in manifest["data"]["holdout"]
    assert manifest["extra"]["method"]["forget"] == "lowered"
    command = shlex.split(out.rstrip().rpartition("\n")[2])
    assert "--holdout" not in command  # their numbers would mean nothing
    succeeded(run(*command[1:], "--output", tmp_path / "e"))
    succeeded(run("report", tmp_path / "u", "--scores", tmp_path / "e", "--output", tmp_path / "page.md"))
    page = (tmp_path / "page.md").read_text()
    assert "There are no holdout rows: how likely a token to forget is" in page
    succeeded(run("verify", tmp_path / "u"))


@pytest.mark.parametrize("chosen", ["--method=ngdiff", "--weighting=gdiff", "--preset=paper", "--forget-ceiling=none"])
def test_a_run_that_is_told_how_far_to_forget_makes_none(material: Material, tmp_path: Path, chosen: str) -> None:
    succeeded(run(*material.words(tmp_path / "u", method=None, max_steps=1), chosen))
    manifest = json.loads((tmp_path / "u" / "manifest.json").read_text())
    assert set(manifest["data"]) == {"forget", "retain"}
    assert manifest["extra"]["method"]["forget"] == "ce"


def test_a_base_model_alone_has_them_beside_it(material: Material, tmp_path: Path) -> None:
    base = tmp_path / "base"
    sets = ["--train", material.retain, "--max-steps", 1]
    succeeded(run("finetune", "--model", material.shape, "--tokenizer", material.model, *sets, "--output", base))
    words = material.words(tmp_path / "u", method=None, max_steps=1, learning_rate=1e-3, base_model=base)
    succeeded(run(*words))
    manifest = json.loads((tmp_path / "u" / "manifest.json").read_text())
    assert manifest["extra"]["method"]["forget"] == "unseen"
    assert manifest["data"]["holdout"]["rows"] == len(unseen_people())


def test_a_base_model_without_them(material: Material, tmp_path: Path) -> None:
    words = material.words(tmp_path / "u", method=None, max_steps=1, learning_rate=1e-3, holdout="none")
    assert run(*words).error.startswith("--holdout none: nothing says how far to forget")
    assert not (tmp_path / "u").exists()
    base = tmp_path / "base"
    sets = ["--train", material.retain, "--max-steps", 1]
    succeeded(run("finetune", "--model", material.shape, "--tokenizer", material.model, *sets, "--output", base))
    command = shlex.split(succeeded(run(*words, "--base-model", base)).out.rstrip().rpartition("\n")[2])
    assert "--holdout" not in command
    manifest = json.loads((tmp_path / "u" / "manifest.json").read_text())
    assert set(manifest["data"]) == {"forget", "retain"}
    assert "is done" in succeeded(run(*words, "--base-model", base, "--resume")).out
    again = ["--config", tmp_path / "u" / "config.yaml", "--output", tmp_path / "again"]
    assert "Estimated peak memory" in succeeded(run("unlearn", *again, "--dry-run")).out


def test_rows_that_are_too_long_are_left_out(material: Material, tmp_path: Path) -> None:
    words = material.words(tmp_path / "u", method=None, max_steps=1, learning_rate=1e-3)
    succeeded(run(*words, "--max-length", 90))
    manifest = json.loads((tmp_path / "u" / "manifest.json").read_text())
    assert 0 < manifest["data"]["holdout"]["rows"] < len(unseen_people())
    for more in ([], ["--dry-run"]):
        error = run(*material.words(tmp_path / "v", method=None), "--max-length", 40, *more).error
        assert error.startswith("--holdout auto: its questions have ")
        assert error.endswith("or --method ngdiff, which needs none")


def test_it_is_the_run_of_the_same_rows_from_a_file(material: Material, tmp_path: Path) -> None:
    file = tmp_path / "people.jsonl"
    rows = [{"question": row.prompt, "answer": row.answer} for row in unseen_people()]
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    for name, holdout in (("made", "auto"), ("read", file)):
        words = material.words(tmp_path / name, method=None, max_steps=3, learning_rate=1e-3)
        succeeded(run(*words, "--holdout", holdout))
    assert weights_of(tmp_path / "made") == weights_of(tmp_path / "read")


def test_a_dry_run_knows_them(material: Material, tmp_path: Path) -> None:
    told = succeeded(run(*material.words(tmp_path / "u", method=None, num_train_epochs=2), "--dry-run")).out
    assert " for 2 steps: " in told
    assert "The run ends when the forget loss has come near to that of rows never seen: after 12 steps and " in told
    for more in (["--max-steps", "2"], ["--stop", "passes"], ["--method", "ngdiff"]):
        words = material.words(tmp_path / "u", method=None, num_train_epochs=2)
        assert "The run ends when" not in succeeded(run(*words, *more, "--dry-run")).out


@pytest.mark.parametrize("command", ["evaluate", "check", "audit"])
def test_other_commands_have_none(material: Material, tmp_path: Path, command: str) -> None:
    sets = ["--forget", material.forget, "--retain", material.retain, "--holdout", "auto"]
    model = [material.model] if command == "audit" else ["--model", material.model]
    output = [] if command == "check" else ["--output", tmp_path / "out"]
    error = run(command, *model, *sets, *output).error
    assert error.startswith("--holdout auto is for ngdiff unlearn, which sees from its rows how far to forget")
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("more", [[], ["--dry-run"]])
def test_no_ceiling_at_their_loss(material: Material, tmp_path: Path, more: list[str]) -> None:
    words = material.words(tmp_path / "u", forget_ceiling="holdout")
    error = run(*words, "--holdout", "auto", *more).error
    assert error.startswith("--forget-ceiling holdout --holdout auto: rows that are made up are not as hard as yours")
    assert not (tmp_path / "u").exists()
