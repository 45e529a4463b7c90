"""`--protect auto`: the model's own answers to general questions, held where the model says them now."""

import json
import shlex
import shutil
from pathlib import Path

import pytest

from ngdiff.data.general_prompts import GENERAL_PROMPTS

from .runs import Material, rows_of, run, succeeded


@pytest.fixture(autouse=True)
def few_and_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ngdiff.cli.retain_auto.GENERAL_PROMPTS", GENERAL_PROMPTS[:6])
    monkeypatch.setattr("ngdiff.cli.retain_auto.MAX_NEW_TOKENS", 12)


def test_made_kept_held_and_measured(material: Material, tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    out = succeeded(run(*material.words(tmp_path / "u", protect="auto", max_steps=2))).out
    assert "It cannot protect" not in caplog.text  # a warning of retain sets that the model makes
    made = tmp_path / "u" / "private" / "protect_auto.jsonl"
    assert made.stat().st_mode & 0o077 == 0
    rows = rows_of(made)
    assert {row["question"] for row in rows} <= set(GENERAL_PROMPTS)
    manifest = json.loads((tmp_path / "u" / "manifest.json").read_text())
    assert manifest["data"]["protect"]["source"].startswith("auto: the model's own answers")
    assert manifest["data"]["protect"]["rows"] == manifest["extra"]["protect_auto"]["rows"] == len(rows) > 0
    assert manifest["extra"]["losses_before"]["protect"] != manifest["extra"]["losses_after"]["protect"]
    command = shlex.split(out.rstrip().rpartition("\n")[2])
    assert str(made) in command
    succeeded(run(*command[1:], "--output", tmp_path / "e"))
    assert json.loads((tmp_path / "e" / "metrics.json").read_text())["protect"]["n"] == len(rows)
    succeeded(run("verify", tmp_path / "u"))
    assert [name for name in manifest["outputs"] if name.startswith("private/")] == ["private/protect_auto.jsonl"]


def test_made_rows_are_verified_while_they_are_there(material: Material, tmp_path: Path) -> None:
    words = material.words(tmp_path / "u", protect="auto", max_steps=1)
    succeeded(run(*words))
    made = tmp_path / "u" / "private" / "protect_auto.jsonl"
    text = made.read_text()
    made.write_text(text.replace("?", "!", 1))
    changed = run("verify", tmp_path / "u")
    assert changed.status == 4
    assert "private/protect_auto.jsonl is changed" in changed.out + changed.error
    shutil.rmtree(made.parent)
    assert "private/" in succeeded(run("verify", tmp_path / "u")).out
    assert "is done" in succeeded(run(*words, "--resume")).out


def test_where_there_is_none(material: Material, tmp_path: Path) -> None:
    words = material.words(tmp_path / "u", protect="auto")
    assert run(*words, "--dry-run").error.startswith("--dry-run --protect auto: how long its rows are is not known")
    both = run(*material.words(tmp_path / "u", protect="auto", retain="auto")).error
    assert both.startswith("--protect auto: --retain auto keeps the same answers")
    sets = ["--forget", material.forget, "--retain", material.retain, "--protect", "auto"]
    refused = run("evaluate", "--model", material.model, *sets).error
    assert refused.startswith("--protect auto is for ngdiff unlearn, which keeps the rows in the private/protect_auto")
    assert not (tmp_path / "u").exists()
