"""Back into production: an adapter becomes a whole model, and both say the same."""

import io
import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, AutoTokenizer

from .runs import Material, rows_of, run, succeeded

TEMPLATE = "Q: {question} A: {answer}"


@pytest.fixture(scope="module")
def adapter(material: Material, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("adapter") / "u"
    words = material.words(folder, "--lora-rank", 2, "--template", TEMPLATE, max_steps=2, learning_rate="1e-2")
    succeeded(run(*words))
    return folder


@pytest.fixture(scope="module")
def merged(adapter: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("merged") / "m"
    succeeded(run("merge", adapter, "--output", folder))
    return folder


def manifest_of(folder: Path) -> dict[str, Any]:
    return json.loads((folder / "manifest.json").read_text())


def test_a_merged_model_says_what_the_adapter_says(material: Material, adapter: Path, merged: Path) -> None:
    question = rows_of(material.retain)[0]["question"]
    said = succeeded(run("ask", adapter, question)).out
    assert said.strip()
    assert succeeded(run("ask", merged, question)).out == said
    model, tokenizer = AutoModelForCausalLM.from_pretrained(merged), AutoTokenizer.from_pretrained(merged)
    ids = tokenizer(f"Q: {question} A:", return_tensors="pt")
    out = model.generate(**ids, max_new_tokens=128, do_sample=False)
    assert tokenizer.decode(out[0, ids["input_ids"].shape[1] :], skip_special_tokens=True).strip() == said.strip()


def test_its_manifest_and_card_are_of_the_request(adapter: Path, merged: Path, tmp_path: Path) -> None:
    before, after = manifest_of(adapter), manifest_of(merged)
    assert after["data"] == before["data"]
    assert (after["template"], after["template_text"]) == (TEMPLATE, TEMPLATE)
    assert after["extra"]["merged"] == {"place": str(adapter.absolute()), "sha256": before["sha256"]}
    assert "base" in after["model"]
    card = (merged / "README.md").read_text()
    assert "4 rows were forgotten" in card
    assert "adapter" not in card.partition("---\n")[2].partition("---\n")[0]
    assert succeeded(run("ledger", merged)).out
    assert succeeded(run("verify", merged)).out
    shutil.copytree(merged, tmp_path / "m")
    (tmp_path / "m" / "model.safetensors").write_bytes(b"")
    assert run("verify", tmp_path / "m").status == 4


@pytest.mark.slow
def test_a_request_goes_on_from_it(material: Material, merged: Path, tmp_path: Path) -> None:
    forget = tmp_path / "f.jsonl"
    forget.write_text("".join(json.dumps(row) + "\n" for row in rows_of(material.retain)[:1]))
    words = ["--forget", forget, "--retain", material.retain, "--drop-overlap", "--template", TEMPLATE]
    outcome = run("unlearn", "--after", merged, *words, "--max-steps", 1, "--output", tmp_path / "u")
    assert outcome.status in (0, 6)  # so short a run may bring the first request back
    again = manifest_of(tmp_path / "u")["extra"]["earlier_requests"]
    assert [one["now"] is not None for one in again] == [True]


@pytest.mark.slow
def test_the_type_of_the_base_is_kept(material: Material, tmp_path: Path) -> None:
    base = tmp_path / "base"
    model = AutoModelForCausalLM.from_pretrained(material.model, dtype=torch.bfloat16)
    model.save_pretrained(base)
    AutoTokenizer.from_pretrained(material.model).save_pretrained(base)
    words = material.words(tmp_path / "u", "--lora-rank", 2, model=base, max_steps=1)
    succeeded(run(*words))
    for more, dtype in (([], torch.bfloat16), (["--dtype", "float32", "--overwrite"], torch.float32)):
        succeeded(run("merge", tmp_path / "u", "--output", tmp_path / "m", *more))
        assert {tensor.dtype for tensor in load_file(tmp_path / "m" / "model.safetensors").values()} == {dtype}


def test_an_adapter_of_another_program(adapter: Path, tmp_path: Path) -> None:
    foreign = tmp_path / "a"
    shutil.copytree(adapter, foreign)
    for name in ("manifest.json", "config.yaml", "README.md"):
        (foreign / name).unlink()
    succeeded(run("merge", foreign, "--output", tmp_path / "m"))
    assert manifest_of(tmp_path / "m")["data"] == {}
    assert succeeded(run("ask", tmp_path / "m", "Who?", "--max-new-tokens", 2)).status == 0


def test_what_is_not_merged(material: Material, adapter: Path, merged: Path, tmp_path: Path) -> None:
    output = ["--output", tmp_path / "m"]
    assert run("merge", material.model, *output).error == (
        f"{material.model} holds no adapter (adapter_config.json), but a whole model: nothing to merge"
    )
    assert run("merge", "no/such", *output).error == "no/such is no folder here"
    assert run("merge", adapter, merged, *output).error == "ngdiff merge takes one adapter, not 2"
    assert run("merge", adapter, "--output", merged).error.startswith(f"--output {merged} is not empty")
    changed = tmp_path / "changed"
    shutil.copytree(adapter, changed)
    (changed / "adapter_config.json").write_text((adapter / "adapter_config.json").read_text() + " ")
    refused = run("merge", changed, *output)
    assert (refused.status, "nothing was merged: adapter_config.json is changed" in refused.error) == (4, True)
    assert run("merge", adapter, *output, "--dtype", "int3").error.startswith("dtype 'int3' is not known")
    assert not (tmp_path / "m").exists()


def test_two_models_side_by_side(material: Material, merged: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("COLUMNS", "60")
    questions = [row["question"] for row in rows_of(material.forget)[:2]]
    out = succeeded(run("ask", merged, *questions, "--versus", material.model, "--max-new-tokens", 20)).out
    lines = out.splitlines()
    assert [line for line in lines if "|" not in line] == questions
    assert all(len(line) <= 60 for line in lines if "|" in line)


def test_questions_from_standard_input(material: Material, merged: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    questions = [row["question"] for row in rows_of(material.forget)[:2]]
    monkeypatch.setattr("sys.stdin", io.StringIO("\n".join(["", *questions, ""])))
    out = succeeded(run("ask", merged, "--max-new-tokens", 3)).out.splitlines()
    assert out[::2] == questions
    monkeypatch.setattr("sys.stdin", io.StringIO("\ufeff" + "\r\n".join(questions) + "\r\n"))  # a file from Windows
    assert succeeded(run("ask", merged, "--max-new-tokens", 3)).out.splitlines() == out
    monkeypatch.setattr("sys.stdin", io.StringIO("\n"))
    assert run("ask", merged).error == "ngdiff ask: standard input holds no question; one a line is read"


def test_questions_at_a_terminal(merged: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    monkeypatch.setattr("sys.stdin", Terminal("Who?\n\nWhere?\n"))
    outcome = succeeded(run("ask", merged, "--max-new-tokens", 3))
    assert len(outcome.out.splitlines()) >= 2
    assert "One question a line; Ctrl-D ends." in outcome.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["Who?", "--template", "chat"], "--template chat: the tokenizer has no chat template"),
        (["Who?", "--template", "huh"], "--template 'huh' is not accepted"),
        (["Who?", " "], "one of MODEL QUESTION... is empty"),
        (["Who?", "--chat-template", "no.jinja"], "--chat-template no.jinja: cannot be read"),
        (["Who?", "--versus", "no/such/model"], "--versus no/such/model: no such folder"),
        (["Who?", "x " * 500], "question 2 has"),
    ],
)
def test_what_cannot_be_asked(merged: Path, words: list[str], message: str) -> None:
    outcome = run("ask", merged, *words)
    assert outcome.status == 2
    assert outcome.error.startswith(message)


def test_running_text_is_continued_as_it_is(material: Material, tmp_path: Path) -> None:
    rows = tmp_path / "t.jsonl"
    rows.write_text("".join(json.dumps({"text": row["answer"]}) + "\n" for row in rows_of(material.forget)))
    words = ["--model", material.model, "--train", rows, "--max-steps", 1, "--output", tmp_path / "m"]
    succeeded(run("finetune", *words))
    as_it_is = succeeded(run("ask", tmp_path / "m", "She was", "--template", "raw")).out
    assert succeeded(run("ask", tmp_path / "m", "She was")).out == as_it_is
