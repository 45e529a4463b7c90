"""The longest row: what the user asks for, within what the model can see."""

import re
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from transformers import DbrxConfig, GPT2Config, MptConfig

from ngdiff.errors import InputError
from ngdiff.evaluation.context import row_limit


def model(context: int | None) -> Any:
    text = SimpleNamespace(max_position_embeddings=context)
    return SimpleNamespace(config=SimpleNamespace(get_text_config=lambda decoder: text))


@pytest.mark.parametrize(
    ("context", "asked", "limit"),
    [(256, None, 256), (4096, None, 4096), (None, None, 2048), (256, 256, 256), (4096, 2000, 2000), (None, 9999, 9999)],
)
def test_limit(context: int | None, asked: int | None, limit: int) -> None:
    assert row_limit(model(context), asked) == limit


def test_beyond_the_context() -> None:
    with pytest.raises(InputError, match=re.escape("--max-length 257 is beyond the model's context of 256 tokens")):
        row_limit(model(256), 257)


def test_a_model_without_a_config() -> None:
    assert row_limit(torch.nn.Linear(1, 1), None) == 2048
    assert row_limit(torch.nn.Linear(1, 1), 5000) == 5000


@pytest.mark.parametrize(
    "config", [MptConfig(max_seq_len=512), GPT2Config(n_positions=512), DbrxConfig(max_seq_len=512)]
)
def test_names_of_the_context(config: Any) -> None:
    assert row_limit(SimpleNamespace(config=config), None) == 512
