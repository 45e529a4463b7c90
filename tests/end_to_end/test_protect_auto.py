"""`--protect auto`: the model's own answers to general questions, held where the model says them now."""

import json
import shlex
import shutil
from pathlib import Path
from typing import Any

import pytest
from transformers import AutoTokenizer

from ngdiff.data.general_prompts import GENERAL_PROMPTS
from ngdiff.estimate import estimate

from .runs import Material, rows_of, run, succeeded, weights_of, write_rows


@pytest.fixture(autouse=True)
def few_and_short(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("ngdiff.cli.own_answers.GENERAL_PROMPTS", GENERAL_PROMPTS[:6])
    monkeypatch.setattr("ngdiff.cli.own_answers.MAX_NEW_TOKENS", 12)


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


@pytest.fixture
def chat(tmp_path: Path) -> Path:
    """A template that makes a chat model of any."""
    file = tmp_path / "chat.jinja"
    file.write_text(
        "{% for m in messages %}{{ m.role }}: {{ m.content }}{{ eos_token }}\n{% endfor %}"
        "{% if add_generation_prompt %}assistant: {% endif %}"
    )
    return file


def manifest_of(folder: Path) -> dict[str, Any]:
    found: dict[str, Any] = json.loads((folder / "manifest.json").read_text())
    return found


def test_a_chat_model_protects_its_answers_by_itself(material: Material, tmp_path: Path, chat: Path) -> None:
    words = material.words(tmp_path / "u", method=None, max_steps=2, chat_template=chat)
    succeeded(run(*words))
    manifest = manifest_of(tmp_path / "u")
    assert manifest["data"]["protect"]["source"].startswith("auto: the model's own answers")
    assert manifest["extra"]["losses_after"]["protect"] >= 0
    made = tmp_path / "u" / "private" / "protect_auto.jsonl"
    assert len(rows_of(made)) == manifest["data"]["protect"]["rows"] > 0
    assert "protect: auto" in (tmp_path / "u" / "config.yaml").read_text().splitlines()
    assert "is done" in succeeded(run(*words, "--resume")).out
    more = words[1:]  # the same, asked for: the same run
    succeeded(run("unlearn", *more, "--protect", "auto", "--output", tmp_path / "asked"))
    assert weights_of(tmp_path / "asked") == weights_of(tmp_path / "u")


@pytest.mark.parametrize(
    "chosen", ["--protect=none", "--method=ngdiff", "--weighting=gdiff", "--forget-ceiling=none", "--retain=auto"]
)
def test_a_chat_model_that_is_not_to(material: Material, tmp_path: Path, chat: Path, chosen: str) -> None:
    words = material.words(tmp_path / "u", method=None, max_steps=1, chat_template=chat)
    name = chosen.partition("=")[0]
    succeeded(run(*(word for word in words if not word.startswith(name)), chosen))
    assert "protect" not in manifest_of(tmp_path / "u")["data"]
    assert not (tmp_path / "u" / "private" / "protect_auto.jsonl").exists()
    again = ["--config", tmp_path / "u" / "config.yaml", "--output", tmp_path / "again"]
    succeeded(run("unlearn", *again))
    assert manifest_of(tmp_path / "again")["data"].keys() == manifest_of(tmp_path / "u")["data"].keys()


def test_texts_are_not_shown_by_a_chat_template(material: Material, tmp_path: Path) -> None:
    tokenizer = AutoTokenizer.from_pretrained(material.model)
    tokenizer.chat_template = "{% for m in messages %}{{ m.content }}{% endfor %}"
    shutil.copytree(material.model, tmp_path / "m")
    tokenizer.save_pretrained(tmp_path / "m")
    sets = {
        name: write_rows(tmp_path / f"{name}.jsonl", [{"text": row["answer"]} for row in rows_of(file)])
        for name, file in (("forget", material.forget), ("retain", material.retain))
    }
    succeeded(run(*material.words(tmp_path / "u", method=None, max_steps=1, model=tmp_path / "m", **sets)))
    assert "protect" not in manifest_of(tmp_path / "u")["data"]


def test_a_chat_model_without_answers_of_use_runs_on(
    material: Material,
    tmp_path: Path,
    chat: Path,
    caplog: pytest.LogCaptureFixture,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    words = material.words(tmp_path / "u", method=None, max_steps=1, chat_template=chat, max_length=100)
    caplog.set_level("WARNING", logger="ngdiff")
    monkeypatch.setattr("ngdiff.cli.own_answers.GENERAL_PROMPTS", ("Why? " * 200,))
    reason = "--protect auto: its questions have "
    assert run(*words, "--protect", "auto").error.startswith(reason)
    succeeded(run(*words))
    assert f"Rows in neither set are not protected: {reason}" in caplog.text
    assert "protect" not in manifest_of(tmp_path / "u")["data"]


def test_a_dry_run_counts_answers_as_long_as_they_may_be(
    material: Material, tmp_path: Path, chat: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    protected = []

    def observed(*given: Any, **more: Any) -> Any:
        protected.append([row.answer for row in more["protect"] or ()])
        return estimate(*given, **more)

    monkeypatch.setattr("ngdiff.estimate.estimate", observed)
    words = material.words(tmp_path / "u", method=None, chat_template=chat)
    for more in ([], ["--protect=auto"], ["--protect=none"]):
        assert "Estimated peak memory" in succeeded(run(*words, "--dry-run", *more)).out
    assert protected == [[" x" * 12] * 6] * 2 + [[]]
    assert not (tmp_path / "u").exists()


def test_where_there_is_none(material: Material, tmp_path: Path) -> None:
    both = run(*material.words(tmp_path / "u", protect="auto", retain="auto")).error
    assert both.startswith("--protect auto: --retain auto keeps the same answers")
    sets = ["--forget", material.forget, "--retain", material.retain, "--protect", "auto"]
    refused = run("evaluate", "--model", material.model, *sets).error
    assert refused.startswith("--protect auto is for ngdiff unlearn, which keeps the rows in the private/protect_auto")
    assert not (tmp_path / "u").exists()
