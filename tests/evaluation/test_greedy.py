"""What a generator looks at before its first answer: the cache."""

import logging
from typing import Any

import pytest
import torch
from accelerate.utils import convert_outputs_to_fp32
from transformers import AutoModelForCausalLM, BartConfig, BertConfig

from ngdiff.errors import InputError
from ngdiff.evaluation.generation import generate_answers

from .decoding import PROMPTS, plain_loop, unaware


def test_a_state_that_layers_keep_is_not_that_of_the_last_answer(tokenizer: Any) -> None:
    """RecurrentGemma goes on from it after a prompt of one token."""
    model = unaware("recurrent_gemma")
    for prompt in ([90], [91], [90]):
        found = generate_answers(model, tokenizer, [prompt], max_new_tokens=9, show_progress=False)
        assert found == [plain_loop(model, tokenizer, prompt, 9, {tokenizer.eos_token_id})]


@pytest.fixture
def without_cache() -> Any:
    """transformers makes its cache as long as the encoder, which is shorter."""
    torch.manual_seed(0)
    config = BartConfig(
        vocab_size=320, d_model=32, encoder_layers=1, decoder_layers=2, encoder_attention_heads=4,
        decoder_attention_heads=4, encoder_ffn_dim=64, decoder_ffn_dim=64, max_position_embeddings=256,
        is_decoder=True, is_encoder_decoder=False, init_std=0.3,
    )  # fmt: skip
    return AutoModelForCausalLM.from_config(config)


def test_a_cache_that_fails(without_cache: Any, tokenizer: Any, caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING, logger="ngdiff"):
        found = generate_answers(without_cache, tokenizer, PROMPTS, max_new_tokens=9, show_progress=False)
    told = [record.getMessage() for record in caplog.records if record.name.startswith("ngdiff")]
    assert told[0].startswith("Answers are generated without a cache, which takes longer: with it, transformers ends")

    def plain(**inputs: Any) -> Any:
        return type(without_cache).forward(without_cache, use_cache=False, **inputs)

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(without_cache, "forward", plain)
        assert found == [plain_loop(without_cache, tokenizer, p, 9, {tokenizer.eos_token_id}) for p in PROMPTS]


def test_a_cache_that_changes_what_is_said(make_model: Any, tokenizer: Any, caplog: pytest.LogCaptureFixture) -> None:
    model = make_model("llama", len(tokenizer))
    expected = generate_answers(model, tokenizer, PROMPTS, max_new_tokens=9, show_progress=False)
    forward = type(model).forward

    def forgetful(self: Any, *args: Any, past_key_values: Any = None, **options: Any) -> Any:
        if past_key_values is not None and past_key_values.get_seq_length():
            options["input_ids"] = options["input_ids"] * 0 + 5
        return forward(self, *args, past_key_values=past_key_values, **options)

    with pytest.MonkeyPatch.context() as patch, caplog.at_level(logging.WARNING, logger="ngdiff"):
        patch.setattr(type(model), "forward", forgetful)
        found = generate_answers(model, tokenizer, PROMPTS, max_new_tokens=9, show_progress=False)
    assert found == expected
    told = [record.getMessage() for record in caplog.records if record.name.startswith("ngdiff")]
    assert len(told) == 1
    assert told[0].startswith("Answers are generated without a cache, which takes longer: with it, logits differ by")


def test_mixed_precision_is_not_taken_for_a_fault(
    make_model: Any, tokenizer: Any, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As accelerate wraps a model: it computes in bfloat16 and gives float32, whose own rounding is much less."""
    model = make_model("llama", len(tokenizer))
    mixed = convert_outputs_to_fp32(torch.autocast("cpu", dtype=torch.bfloat16)(model.forward))
    monkeypatch.setattr(model, "forward", mixed)
    assert model(input_ids=torch.tensor([PROMPTS[0]])).logits.dtype == torch.float32
    with caplog.at_level(logging.WARNING, logger="ngdiff"):
        generate_answers(model, tokenizer, PROMPTS, max_new_tokens=9, show_progress=False)
    assert [record.getMessage() for record in caplog.records if record.name.startswith("ngdiff")] == []


def test_a_model_that_is_not_causal_cannot_generate(tokenizer: Any) -> None:
    torch.manual_seed(0)
    config = BertConfig(
        vocab_size=320, hidden_size=32, num_hidden_layers=2, num_attention_heads=4, intermediate_size=64,
        initializer_range=0.3,
    )  # fmt: skip
    model = AutoModelForCausalLM.from_config(config)
    with pytest.raises(InputError, match=r"cannot generate answers: token by token, logits differ .*--no-generate"):
        generate_answers(model, tokenizer, PROMPTS, max_new_tokens=9, show_progress=False)
