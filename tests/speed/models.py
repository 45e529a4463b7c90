"""Tiny models of several kinds, rows for them, and how close two passes are."""

import copy

import torch
from torch import nn
from transformers import (
    AutoModelForCausalLM,
    BloomConfig,
    Gemma2Config,
    GPT2Config,
    LlamaConfig,
    MambaConfig,
    MistralConfig,
    OPTConfig,
)

from ..tiny import SIZES, TOKENS

VOCABULARY = 50
SMALL = {**SIZES, **TOKENS, "vocab_size": VOCABULARY, "intermediate_size": 48, "initializer_range": 0.2}
# The windows of 4 tokens are shorter than the rows, and rows stand closer than that.
CONFIGS = {
    "llama": LlamaConfig(**SMALL),
    "gpt2: learned positions": GPT2Config(
        vocab_size=VOCABULARY, n_embd=32, n_layer=2, n_head=4, n_positions=64, initializer_range=0.2, **TOKENS
    ),
    "gemma2: windows, soft caps": Gemma2Config(
        **SMALL, head_dim=8, sliding_window=4, attn_logit_softcapping=3.0, final_logit_softcapping=2.0
    ),
    "mistral: windows": MistralConfig(**SMALL, sliding_window=4),
}
# They take positions from somewhere else, or pass a state on from token to token.
LEAKING = {
    "opt: positions of its own": OPTConfig(
        vocab_size=VOCABULARY,
        hidden_size=32,
        word_embed_proj_dim=32,
        ffn_dim=48,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=64,
        **TOKENS,
    ),
    "bloom: ALiBi": BloomConfig(vocab_size=VOCABULARY, hidden_size=32, n_layer=2, n_head=4, **TOKENS),
    "mamba: a state": MambaConfig(vocab_size=VOCABULARY, hidden_size=32, num_hidden_layers=2, **TOKENS),
}


def build(config, dtype=torch.float32, attention=None) -> nn.Module:
    torch.manual_seed(0)
    own = copy.deepcopy(config)  # models keep the configuration that they are given, and tests change it
    return AutoModelForCausalLM.from_config(own, dtype=dtype, attn_implementation=attention).eval()


def row(length: int, prompt: int, seed: int) -> dict[str, list[int]]:
    ids = torch.randint(3, VOCABULARY, (length,), generator=torch.Generator().manual_seed(seed)).tolist()
    return {"input_ids": ids, "labels": [-100] * prompt + ids[prompt:]}


def assert_close(found: torch.Tensor, expected: torch.Tensor, tolerance: float = 1e-6) -> None:
    """Largest difference, relative to the largest value."""
    assert found.shape == expected.shape
    assert float((found - expected).detach().abs().max()) <= tolerance * float(expected.detach().abs().max())
