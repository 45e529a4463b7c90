"""`--retain auto`: rows that the model makes of itself, kept, named in the manifest and warned of."""

import json
import shlex
from pathlib import Path
from typing import Any

import pytest

from ngdiff.data.general_prompts import GENERAL_PROMPTS
from ngdiff.training import UnlearnTrainer

from .runs import Material, rows_of, run, succeeded, weights_of, write_rows


@pytest.fixture(autouse=True)
def few_and_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ngdiff.cli.own_answers.GENERAL_PROMPTS", GENERAL_PROMPTS[:6])
    monkeypatch.setattr("ngdiff.cli.own_answers.MAX_NEW_TOKENS", 12)


def manifest_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "manifest.json").read_text())


def test_made_kept_and_warned_of(material: Material, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    out = succeeded(run(*material.words(tmp_path / "u", retain="auto", max_steps=2))).out
    made = tmp_path / "u" / "private" / "retain_auto.jsonl"
    assert made.stat().st_mode & 0o077 == 0
    rows = rows_of(made)
    assert 0 < len(rows) <= 6
    assert {row["question"] for row in rows} <= set(GENERAL_PROMPTS)
    manifest = manifest_of(tmp_path / "u")
    assert manifest["data"]["retain"]["source"].startswith("auto: ")
    assert manifest["data"]["retain"]["rows"] == manifest["extra"]["retain_auto"]["rows"] == len(rows)
    warning = manifest["extra"]["retain_auto"]["warning"]
    assert warning in caplog.messages
    command = shlex.split(out.rstrip().rpartition("\n")[2])
    assert str(made) in command
    succeeded(run(*command[1:], "--output", tmp_path / "e"))
    succeeded(run("report", tmp_path / "u", "--scores", tmp_path / "e", "--output", tmp_path / "page.md"))
    assert "It cannot protect what they do not" in (tmp_path / "page.md").read_text()
    succeeded(run("verify", tmp_path / "u"))


@pytest.mark.parametrize("role", ["retain", "protect"])
def test_the_evaluation_that_is_named_reads_made_rows_beside_other_columns(
    role: str, material: Material, tmp_path: Path
) -> None:
    rows = [{"title": row["question"], "reply": row["answer"]} for row in rows_of(material.forget)]
    forget = write_rows(tmp_path / "f.jsonl", rows)
    others = {} if role == "retain" else {"retain_columns": "qa"}
    options = {"forget": forget, "columns": "question=title,answer=reply", **others, role: "auto", "max_steps": 1}
    out = succeeded(run(*material.words(tmp_path / "u", **options))).out
    command = shlex.split(out.rstrip().rpartition("\n")[2])
    succeeded(run(*command[1:], "--no-generate"))


@pytest.mark.slow
def test_a_run_that_goes_on_has_the_same_rows(
    material: Material, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    options = {"retain": "auto", "max_steps": 2, "save_strategy": "steps", "save_steps": 1}
    succeeded(run(*material.words(tmp_path / "whole", **options)))
    words = material.words(tmp_path / "u", **options)
    step = UnlearnTrainer.training_step

    def only_the_first(trainer: UnlearnTrainer, *arguments: Any, **more: Any) -> Any:
        if trainer.state.global_step == 1:
            raise OSError("the power is gone")
        return step(trainer, *arguments, **more)

    with monkeypatch.context() as patched:
        patched.setattr(UnlearnTrainer, "training_step", only_the_first)
        assert "the power is gone" in run(*words).error
    made = tmp_path / "u" / "private" / "retain_auto.jsonl"
    before = made.read_bytes()
    assert len(before.splitlines()) > 1
    assert not (tmp_path / "u" / "model.safetensors").exists()
    monkeypatch.setattr("ngdiff.cli.own_answers.GENERAL_PROMPTS", ("Other?",))
    succeeded(run(*words, "--resume"))
    assert made.read_bytes() == before == (tmp_path / "whole" / "private" / "retain_auto.jsonl").read_bytes()
    assert weights_of(tmp_path / "u") == weights_of(tmp_path / "whole")
    whole, resumed = (manifest_of(tmp_path / name) for name in ("whole", "u"))
    assert resumed["data"]["retain"] == whole["data"]["retain"]
    assert resumed["extra"]["retain_auto"]["rows"] == len(rows_of(made))


def test_answers_near_the_forgotten_ones_are_left_out(
    material: Material, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    forget = rows_of(material.forget)
    said = [forget[0]["answer"], "", "The sea is wide and blue.", forget[1]["answer"], "Yes.", "Quite so, I think."]
    monkeypatch.setattr("ngdiff.evaluation.generation.generate_answers", lambda *_, **__: said)
    succeeded(run(*material.words(tmp_path / "u", retain="auto", max_steps=1)))
    made = rows_of(tmp_path / "u" / "private" / "retain_auto.jsonl")
    assert [row["answer"] for row in made] == [said[2], said[4], said[5]]


def test_where_there_is_none(material: Material, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    words = material.words(tmp_path / "u", retain="auto")
    assert "Estimated peak memory" in succeeded(run(*words, "--dry-run")).out  # with answers as long as they may be
    sets = ["--forget", material.forget, "--retain", "auto"]
    refused = run("evaluate", "--model", material.model, *sets).error
    assert refused.startswith(
        "--retain auto is for ngdiff unlearn, which keeps the rows in the private/retain_auto.jsonl"
    )
    monkeypatch.setattr("ngdiff.evaluation.generation.generate_answers", lambda *_, **__: [""] * 6)
    assert "has no answer of use to general questions" in run(*words).error
    assert not (tmp_path / "u").exists()


def test_the_questions() -> None:
    assert len(GENERAL_PROMPTS) == len(set(GENERAL_PROMPTS)) >= 90
    assert all(prompt == prompt.strip() and prompt[-1] in ".?!" for prompt in GENERAL_PROMPTS)
