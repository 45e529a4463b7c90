from typing import Any

import pytest
import torch
from peft import LoraConfig

from ngdiff.errors import InputError
from ngdiff.modeling import add_adapter, build_model


def lora(**options: Any) -> LoraConfig:
    return LoraConfig(r=2, task_type="CAUSAL_LM", **options)


def test_only_the_adapter_is_trained(tokenizer) -> None:
    model = add_adapter(build_model("llama-micro", tokenizer), lora(target_modules="all-linear"), seed=0)
    trained = {name for name, parameter in model.named_parameters() if parameter.requires_grad}
    assert trained
    assert all("lora_" in name for name in trained)


def test_a_seed_gives_one_adapter(tokenizer) -> None:
    def drawn(seed: int, before: int) -> list[torch.Tensor]:
        model = build_model("llama-micro", tokenizer)
        torch.manual_seed(before)
        adapted = add_adapter(model, lora(target_modules=["q_proj"]), seed=seed)
        return [p for p in adapted.parameters() if p.requires_grad]

    pairs = zip(drawn(3, before=1), drawn(3, before=2), strict=True)
    assert all(torch.equal(a, b) for a, b in pairs)
    assert not all(torch.equal(a, b) for a, b in zip(drawn(3, before=1), drawn(4, before=1), strict=True))


def test_layers_that_are_not_there(tokenizer) -> None:
    with pytest.raises(InputError, match=r"The adapter does not fit the model: .*nope"):
        add_adapter(build_model("llama-micro", tokenizer), lora(target_modules=["nope"]), seed=0)
