from typing import Any

import pytest
import torch
from peft import LoraConfig
from transformers import AutoModelForCausalLM, FalconConfig, Llama4TextConfig, Mamba2Config, MambaConfig, PhimoeConfig

from ngdiff.errors import InputError
from ngdiff.modeling import add_adapter, build_model
from ngdiff.modeling.adapter import linear_layers


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


def test_a_second_adapter_would_hide_the_first(tokenizer) -> None:
    model = add_adapter(build_model("llama-micro", tokenizer), lora(target_modules=["q_proj"]), seed=0)
    for again in (model, model.get_base_model()):
        with pytest.raises(InputError, match=r"has an adapter already.*leave out --lora-rank.*--merge-adapter"):
            add_adapter(again, lora(target_modules=["q_proj"]), seed=0)


TINY = {"vocab_size": 300, "hidden_size": 32, "num_hidden_layers": 2}
ATTENTION = {**TINY, "intermediate_size": 64, "num_attention_heads": 4, "num_key_value_heads": 2}


@pytest.mark.parametrize(
    ("config", "left_out"),
    [
        (PhimoeConfig(**ATTENTION, num_local_experts=2, num_experts_per_tok=1, sliding_window=None), "router"),
        (
            Llama4TextConfig(**ATTENTION, head_dim=8, intermediate_size_mlp=64, num_local_experts=2, pad_token_id=None),
            "router",
        ),
        (MambaConfig(**TINY, state_size=8, pad_token_id=None), "out_proj"),
        (Mamba2Config(**TINY, state_size=8, num_heads=4, head_dim=16, n_groups=1, pad_token_id=None), "out_proj"),
    ],
    ids=lambda value: getattr(value, "model_type", value),
)
def test_all_linear_layers_are_those_that_an_adapter_works_on(config: Any, left_out: str) -> None:
    model = AutoModelForCausalLM.from_config(config).eval()
    ids = torch.tensor([[5, 6, 7]])
    before = model(input_ids=ids).logits
    names = [name for name, module in model.named_modules() if isinstance(module, torch.nn.Linear)]
    assert any(name.endswith(left_out) for name in names)
    adapted = add_adapter(model, lora(target_modules="all-linear"), seed=0).eval()
    torch.testing.assert_close(adapted(input_ids=ids).logits, before)
    found = {name for name, _ in adapted.named_parameters() if "lora_A" in name}
    assert found
    assert not any(f".{left_out}." in name or ".lm_head." in name for name in found)
    adapted(input_ids=ids).logits.sum().backward()
    changed = [p.grad for name, p in adapted.named_parameters() if "lora_B" in name]
    assert all(gradient is not None for gradient in changed)


class Grouped(torch.nn.Linear):
    """As DeepSeek-V4's: its rows are of groups."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return super().forward(x.reshape(-1, 3, self.in_features)).sum(1)


class Renamed(torch.nn.Linear):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x @ self.weight.T


class Router(torch.nn.Linear):
    def forward(self, x: torch.Tensor) -> Any:
        return super().forward(x).max(-1)


def test_layers_of_a_class_of_their_own_are_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    kinds = (torch.nn.Linear, Grouped, Renamed, Router)
    for kind in kinds[1:]:
        monkeypatch.setattr(kind, "__module__", "transformers.models.made_up")
    model = torch.nn.ModuleDict({kind.__name__: kind(4, 5, bias=False) for kind in kinds})
    assert linear_layers(model) == ["Linear", "Renamed"]


def test_linear_layers_of_another_class() -> None:
    """Falcon's are."""
    model = AutoModelForCausalLM.from_config(
        FalconConfig(vocab_size=300, hidden_size=32, num_hidden_layers=1, num_attention_heads=4, alibi=False)
    )
    adapted = add_adapter(model, lora(target_modules="all-linear"), seed=0)
    found = {name.split(".")[-4] for name, _ in adapted.named_parameters() if "lora_A" in name}
    assert found == {"query_key_value", "dense", "dense_h_to_4h", "dense_4h_to_h"}


def test_a_model_that_peft_refuses(tokenizer) -> None:
    model = AutoModelForCausalLM.from_config(MambaConfig(**TINY, state_size=8, pad_token_id=None))
    with pytest.raises(InputError, match=r"out_proj.*--lora-target-modules takes names such as in_proj"):
        add_adapter(model, lora(target_modules=["out_proj"]), seed=0)
