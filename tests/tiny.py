"""A Llama of a few thousand parameters. Tests name only the sizes in which theirs differs."""

from typing import Any

import torch
from transformers import LlamaConfig, LlamaForCausalLM

SIZES: dict[str, Any] = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 64,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "num_key_value_heads": 2,
    "max_position_embeddings": 64,
}
# A file for `--model`: runs in milliseconds; the weights take 120 KB and the optimizer's state twice that.
SHAPE: dict[str, Any] = {
    **SIZES,
    "model_type": "llama",
    "num_hidden_layers": 1,
    "num_key_value_heads": 4,
    "max_position_embeddings": 256,
    "tie_word_embeddings": False,
}
del SHAPE["vocab_size"]  # that of the tokenizer
TOKENS = {"pad_token_id": 0, "bos_token_id": 1, "eos_token_id": 2}


def llama(seed: int = 0, **config: Any) -> LlamaForCausalLM:
    """Random weights, the same for the same arguments."""
    torch.manual_seed(seed)
    return LlamaForCausalLM(LlamaConfig(**{**SIZES, **config}))
