"""A small model and its tokenizer in a folder, as a run leaves them."""

from pathlib import Path

import pytest
from transformers import PreTrainedModel, PreTrainedTokenizerFast

from ngdiff.modeling import build_model, save_model, train_tokenizer


@pytest.fixture(scope="session")
def tokenizer() -> PreTrainedTokenizerFast:
    return train_tokenizer(["a few words to learn from, and a few more words"] * 2, vocab_size=300)


@pytest.fixture
def model(tokenizer: PreTrainedTokenizerFast) -> PreTrainedModel:
    return build_model("llama-micro", tokenizer, seed=1)


@pytest.fixture
def folder(tmp_path: Path, model: PreTrainedModel, tokenizer: PreTrainedTokenizerFast) -> Path:
    save_model(model, tokenizer, tmp_path / "model")
    return tmp_path / "model"
