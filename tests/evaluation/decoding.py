"""Prompts, greedy decoding without cache or padding, and models that do not know of padding in front."""

from typing import Any

import torch
from transformers import AutoModelForCausalLM, BartConfig, MiniMaxConfig, RecurrentGemmaConfig, RwkvConfig

PROMPTS = [[40, 41, 42], [90], [55, 60, 70, 80, 44, 45, 46], [90, 91], list(range(30, 60))]
SPECIAL = {"bos_token_id": 0, "eos_token_id": 1, "pad_token_id": 2}
UNAWARE = {
    "recurrent_gemma": RecurrentGemmaConfig(
        vocab_size=320, hidden_size=32, intermediate_size=64, num_hidden_layers=3, num_attention_heads=4,
        num_key_value_heads=1, attention_window_size=8, lru_width=32, **SPECIAL,
    ),
    "minimax": MiniMaxConfig(
        vocab_size=320, hidden_size=32, intermediate_size=64, num_hidden_layers=2, num_attention_heads=4,
        num_key_value_heads=2, head_dim=8, num_local_experts=2, num_experts_per_tok=1, block_size=16,
        layer_types=["linear_attention", "full_attention"], **SPECIAL,
    ),
    "bart": BartConfig(
        vocab_size=320, d_model=32, encoder_layers=2, decoder_layers=2, encoder_attention_heads=4,
        decoder_attention_heads=4, encoder_ffn_dim=64, decoder_ffn_dim=64, max_position_embeddings=256,
        is_decoder=True, is_encoder_decoder=False, **SPECIAL,
    ),
    "rwkv": RwkvConfig(
        vocab_size=320, hidden_size=32, num_hidden_layers=2, bos_token_id=0, eos_token_id=1,
    ),
}  # fmt: skip


def plain_loop(model: Any, tokenizer: Any, prompt: list[int], max_new_tokens: int, ends: set[int]) -> str:
    model.eval()
    ids = list(prompt)
    for _ in range(max_new_tokens):
        with torch.no_grad():
            best = int(model(input_ids=torch.tensor([ids])).logits[0, -1].argmax())
        if best in ends:
            break
        ids.append(best)
    model.train()
    return str(tokenizer.decode(ids[len(prompt) :], skip_special_tokens=True)).strip()


def unaware(kind: str) -> Any:
    torch.manual_seed(3)
    model = AutoModelForCausalLM.from_config(UNAWARE[kind]).eval()
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() >= 2:
                parameter.normal_(0, 0.3)
    return model
