from pathlib import Path
from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, YoutuConfig

from ngdiff.modeling import load_model


@pytest.mark.parametrize("tied", [False, True])
def test_the_pad_tokens_row_is_that_of_the_checkpoint(tmp_path: Path, tied: bool, tokenizer: Any) -> None:
    config = YoutuConfig(
        vocab_size=300, hidden_size=32, intermediate_size=64, num_hidden_layers=1, num_attention_heads=4,
        num_key_value_heads=4, q_lora_rank=16, kv_lora_rank=16, qk_rope_head_dim=8, qk_nope_head_dim=8, v_head_dim=8,
        bos_token_id=0, eos_token_id=1, pad_token_id=1, tie_word_embeddings=tied,
    )  # fmt: skip
    torch.manual_seed(0)
    model = AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        model.get_input_embeddings().weight.normal_()
    model.save_pretrained(tmp_path)
    loaded = load_model(tmp_path)
    for name, parameter in model.named_parameters():
        assert torch.equal(loaded.get_parameter(name), parameter), name
    for end in (loaded.get_input_embeddings(), loaded.get_output_embeddings()):
        assert end.weight[1].abs().sum() > 0
