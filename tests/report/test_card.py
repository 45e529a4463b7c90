"""The card of a model: what stands at its head, and that names of folders and templates cannot break it."""

import json
from pathlib import Path
from typing import Any

import pytest
from huggingface_hub import ModelCard

from ngdiff.report import base_card
from ngdiff.report.base_card import base_of
from ngdiff.report.card import model_card
from ngdiff.report.page import fenced

WHOLE, ADAPTER = ["config.json", "model.safetensors"], ["adapter_config.json", "adapter_model.safetensors"]
HOSTILE = "a\n---\nlicense: mit\n---\n<script>alert(1)</script> [x](javascript:1) `b` {{ c }} |"


def manifest(**changes: Any) -> dict[str, Any]:
    data = {"forget": {"source": "people/of berlin.jsonl", "rows": 4, "rows_sha256": "f" * 64}}
    extra = {"losses_before": {"forget": 0.25}, "losses_after": {"forget": 3.5}, "rows_of_losses": {"forget": 4}}
    given = {
        "command": ["ngdiff", "unlearn", "--forget", "people/of berlin.jsonl"],
        "data": data,
        "model": {"shape": "llama-tiny"},
        "template": "plain",
        "template_text": "Question: {question}\nAnswer: {answer}",
        "seed": 7,
        "extra": extra,
    }
    return {**given, **changes}


def card(files: list[str] = WHOLE, name: str = "out", options: Any = None, **changes: Any) -> ModelCard:
    return ModelCard(model_card(name, files, options or {"method": "ngdiff"}, manifest(**changes), "1.2.3"))


def folder(place: Path, head: str = "", config: Any = None) -> dict[str, Any]:
    """A model's folder with a card and a config, as a manifest describes it."""
    place.mkdir(parents=True, exist_ok=True)
    (place / "config.json").write_text(json.dumps(config or {}))
    if head:
        (place / "README.md").write_text(f"---\n{head}\n---\n\nText.\n")
    return {"source": str(place), "files": {}, "place": str(place)}


def test_a_card_says_what_was_asked_and_how_by_counts_and_hashes() -> None:
    found = card()
    for text in ("| forget | to be forgotten | 4 | " + "f" * 64, "| forget | 4 | 0.2500 | 3.5000 |", "Method ngdiff."):
        assert text in found.text
    assert "Question: {question}\nAnswer: {answer}" in found.text
    assert "berlin" not in str(found)
    assert found.data.library_name == "transformers"
    assert found.data.base_model is None
    assert found.data.license is None


def test_a_card_says_which_file_named_the_images() -> None:
    own = {"forget-images": {"source": "requests/of-may.txt", "rows": 3, "sha256": "a" * 64, "file_sha256": "b" * 64}}
    text = card(template=None, template_text=None, own=own).text
    assert f"- images to forget: 3 named in of-may.txt (SHA-256 {'b' * 64})" in text
    assert "images to forget:" not in card(own={}).text


def test_one_row_is_called_one() -> None:
    assert "1 row was forgotten, the rest kept" in card(data={"forget": {"rows": 1}}).text


def test_an_adapter_and_a_classifier_are_called_so() -> None:
    own = card(ADAPTER, model={"source": "owner/base", "revision": None}, options={"lora_rank": 8})
    assert (own.data.library_name, own.data.base_model) == ("peft", "owner/base")
    assert own.data.base_model_relation == "adapter"
    assert "AutoPeftModelForCausalLM" in own.text
    assert "vllm serve owner/base --enable-lora --lora-modules unlearned=MODEL --max-lora-rank 8" in own.text
    images = card(template=None, template_text=None)
    assert images.data.pipeline_tag == "image-classification"
    assert "AutoModelForImageClassification" in images.text
    assert "vllm" not in images.text


@pytest.mark.parametrize("role", ["forget", "train"])
def test_a_card_of_a_classifier_is_about_images(role: str) -> None:
    data = {role: {"rows": 4}, "test": {"rows": 2}}
    text = card(template=None, template_text=None, data=data, options={"task": "image"}).text
    assert ("4 images were forgotten" if role == "forget" else "trained on 4 images") in text
    assert "| test | never seen by the model, for what is kept | 2 |" in text
    assert "No image is on this card." in text
    for word in ("answers", "recite", "text of a row", "says when asked", "ngdiff audit", "SHA-256 of the rows"):
        assert word not in text


def test_a_model_that_was_trained_is_not_said_to_forget() -> None:
    own = card(command=["ngdiff", "finetune"], options={"num_train_epochs": 3.0}, data={"train": {"rows": 9}})
    assert "trained on 9 rows" in own.text
    assert "unlearning" not in own.data.tags
    assert "may recite the rows" in own.text


def test_a_ruined_model_is_called_so() -> None:
    assert "**The model is ruined:** its retain loss rose" in card(extra={"ruined": "its retain loss rose"}).text


def test_base_and_licence_are_those_of_the_base(tmp_path: Path) -> None:
    head = "license: other\nlicense_name: llama3\nlicense_link: https://example.org/l\nbase_model: owner/origin"
    own = card(model=folder(tmp_path / "with card", head))
    assert (own.data.license, own.data.license_name) == ("other", "llama3")
    assert own.data.license_link == "https://example.org/l"
    assert (own.data.base_model, own.data.base_model_relation) == ("owner/origin", "finetune")
    assert base_of(folder(tmp_path / "config", config={"license": "mit"})).licence == {"license": "mit"}
    adapter = {**folder(tmp_path / "adapter"), "base": folder(tmp_path / "below", "license: gpl")}
    for what in (False, True):
        assert base_of(adapter, adapter=what).licence == {"license": "gpl"}
    assert base_of(adapter, adapter=True).name == "below"


def test_an_adapter_is_never_for_the_model_of_which_its_base_was_made(tmp_path: Path) -> None:
    whole = folder(tmp_path / "recites", "license: mit\nbase_model: owner/origin")
    own = card(ADAPTER, model=whole, options={"lora_rank": 8})
    assert own.data.base_model is None
    assert "vllm serve BASE --enable-lora" in own.text
    assert own.data.license == "mit"
    below = {**folder(tmp_path / "first"), "base": folder(tmp_path / "first" / "merged_base")}
    assert "An adapter for “first/merged\\_base”, made by" in card(ADAPTER, model=below).text


def test_an_adapter_on_a_merged_model_is_for_the_merged_model_beside_it(tmp_path: Path) -> None:
    merged = {**folder(tmp_path / "first"), "base": {"source": "owner/origin", "revision": None}}
    own = card(ADAPTER, "second", model=merged, options={"lora_rank": 8, "merge_adapter": True})
    assert "An adapter for “second/merged\\_base”, made by" in own.text
    assert own.data.base_model is None
    assert "owner/origin" not in str(own)
    assert "vllm serve MODEL/merged_base --enable-lora" in own.text
    assert "convert_lora_to_gguf.py --base MODEL/merged_base MODEL " in own.text
    whole = card(WHOLE, "second", model=merged, options={"merge_adapter": True})
    assert (whole.data.base_model, whole.data.base_model_relation) == ("owner/origin", "finetune")


@pytest.mark.parametrize(
    "head", ["license: [a, b]", "license: {x: y}", "- a", "a: [", "license: 'a\n  <b>'", "base_model: ../x", "1: 2"]
)
def test_a_card_of_the_base_that_cannot_be_used_is_passed_over(tmp_path: Path, head: str) -> None:
    found = base_of(folder(tmp_path / "base", head))
    assert (found.repository, found.licence) == (None, {})


def test_a_base_on_the_hub_is_asked_by_its_cached_card(tmp_path: Path, monkeypatch) -> None:
    place = Path(folder(tmp_path / "cached", "license: apache-2.0")["place"])
    monkeypatch.setattr(base_card, "try_to_load_from_cache", lambda *a, **k: str(place / "README.md"))
    assert base_of({"source": "owner/base", "revision": None}).licence == {"license": "apache-2.0"}
    monkeypatch.undo()
    assert base_of({"source": "owner/base", "revision": None}).licence == {}  # there is no network in tests


def test_names_of_folders_stay_one_short_line(tmp_path: Path) -> None:
    text = str(card(name=HOSTILE * 3, model={"source": HOSTILE, "place": f"/secret/place/{'b' * 300}"}))
    own = ModelCard(text)
    assert own.data.license is None
    assert "\n---\nlicense" not in own.text
    assert r"\<script\>" in own.text
    assert "<script>" not in own.text
    assert "/secret/place" not in text
    assert "b" * 81 not in text


def test_the_template_stands_there_word_for_word() -> None:
    text = "{% for m in messages %}\n\n\n\n```\n{{ m }}\n````\n<|im_end|>*_\\{% endfor %}"
    assert fenced(text, "") in card(template="chat", template_text=text).text
    assert fenced(text, "").startswith("`````\n")
