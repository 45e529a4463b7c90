from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerFast

from ngdiff.modeling import build_model, save_model


def test_others_can_load_it(folder: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> None:
    loaded = AutoModelForCausalLM.from_pretrained(folder)
    pairs = zip(loaded.parameters(), model.parameters(), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert AutoTokenizer.from_pretrained(folder)("words")["input_ids"] == tokenizer("words")["input_ids"]
    assert {file.suffix for file in folder.iterdir()} == {".json", ".safetensors"}


def test_saving_again_replaces(folder: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    (folder / "metrics.json").write_text("{}")
    other = build_model("llama-micro", tokenizer, seed=9)
    save_model(other, tokenizer, folder)
    loaded = AutoModelForCausalLM.from_pretrained(folder)
    assert torch.equal(loaded.lm_head.weight, other.lm_head.weight)
    assert (folder / "metrics.json").exists()


def test_a_full_disk_leaves_the_model_that_was_there(
    folder: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {file.name: file.read_bytes() for file in folder.iterdir()}
    other = build_model("llama-micro", tokenizer, seed=9)

    def full(*args: Any, **kwargs: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(type(tokenizer), "save_pretrained", full)
    with pytest.raises(OSError, match="No space left"):
        save_model(other, tokenizer, folder)
    assert {file.name: file.read_bytes() for file in folder.iterdir()} == before
