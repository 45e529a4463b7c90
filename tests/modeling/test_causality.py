from typing import Any

import pytest
import torch
from transformers import AutoModelForCausalLM, BertConfig, MambaConfig, XLMConfig

from ngdiff.errors import InputError
from ngdiff.modeling.causality import check_causal

SIZES = {
    "vocab_size": 300, "hidden_size": 32, "num_hidden_layers": 2, "num_attention_heads": 4, "intermediate_size": 64,
}  # fmt: skip
XLM = {"vocab_size": 300, "emb_dim": 32, "n_layers": 2, "n_heads": 4}


def made(config: Any) -> Any:
    torch.manual_seed(0)
    return AutoModelForCausalLM.from_config(config).eval()


@pytest.mark.parametrize("dtype", [torch.float64, torch.float32, torch.bfloat16])
@pytest.mark.parametrize("ids", [[5, 6, 7, 8], [5, 5], [5], [9] * 40], ids=str)
def test_causal_models(model: Any, dtype: torch.dtype, ids: list[int]) -> None:
    check_causal(model.to(dtype).eval(), ids)
    check_causal(made(BertConfig(**SIZES, is_decoder=True)).to(dtype), ids)


def test_other_causal_models() -> None:
    check_causal(made(MambaConfig(vocab_size=300, hidden_size=32, num_hidden_layers=2, pad_token_id=None)), [5, 6, 7])
    check_causal(made(XLMConfig(**XLM, causal=True)), [5, 6, 7])


@pytest.mark.parametrize("config", [BertConfig(**SIZES), XLMConfig(**XLM)], ids=lambda config: config.model_type)
@pytest.mark.parametrize("dtype", [torch.float32, torch.bfloat16])
def test_encoders(config: Any, dtype: torch.dtype) -> None:
    model = made(config)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.dim() > 1:
                parameter.normal_(0, 0.3)
    with pytest.raises(InputError, match=r"no causal language model: .* changes with the tokens that follow"):
        check_causal(model.to(dtype), [5, 6, 7, 8])
