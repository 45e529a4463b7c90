"""Flags of a config that add outputs to a pass change no evaluation, and stay as they are."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, MixtralConfig

from ngdiff.evaluation.generation import generate_answers
from ngdiff.evaluation.likelihood import token_nll
from ngdiff.evaluation.plain_outputs import plain_outputs

PROMPTS = [[40, 41, 42], [90], [55, 60, 70, 80, 44, 45, 46]]
FLAGS = {"output_router_logits": True, "output_attentions": True, "output_hidden_states": True, "return_dict": False}


@pytest.fixture
def mixture(tokenizer: Any) -> Any:
    torch.manual_seed(0)
    config = MixtralConfig(
        vocab_size=len(tokenizer), hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=8, num_local_experts=4, num_experts_per_tok=2, initializer_range=0.3,
        pad_token_id=None,
    )  # fmt: skip
    return AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()


@pytest.mark.parametrize("flags", [dict([flag]) for flag in FLAGS.items()] + [FLAGS], ids=str)
def test_an_evaluation_is_the_same_with_them(tmp_path: Path, mixture: Any, tokenizer: Any, flags: Any) -> None:
    def found(model: Any) -> tuple[list[str], list[list[float]]]:
        answers = generate_answers(model, tokenizer, PROMPTS, max_new_tokens=5, show_progress=False)
        losses = token_nll(model, [(ids, ids) for ids in PROMPTS], show_progress=False)
        return answers, [loss.tolist() for loss in losses]

    expected = found(mixture)
    mixture.save_pretrained(tmp_path)
    file = tmp_path / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | flags))
    model = AutoModelForCausalLM.from_pretrained(tmp_path, attn_implementation="eager")
    own = model.config.to_dict()
    assert found(model) == expected
    assert model.config.to_dict() == own


def test_flags_come_back_after_an_error(mixture: Any) -> None:
    mixture.config.output_router_logits = True

    def fail() -> None:
        with plain_outputs(mixture):
            assert mixture.config.output_router_logits is False
            raise KeyError

    with pytest.raises(KeyError):
        fail()
    assert mixture.config.output_router_logits is True
