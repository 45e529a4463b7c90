"""Adapters that are loaded as they were saved, or refused with what does not fit."""

import json
from pathlib import Path
from typing import Any

import pytest
import torch
from peft import LoraConfig, PeftModel, PromptTuningConfig, get_peft_model
from safetensors.torch import load_file, save_file

from ngdiff.errors import InputError
from ngdiff.modeling import build_model, load_model, merge_adapter, save_model

# peft asks transformers for a name that transformers is about to rename, and says that it saves embeddings.
pytestmark = [
    pytest.mark.filterwarnings("ignore:`is_gradient_checkpointing` is deprecated:FutureWarning"),
    pytest.mark.filterwarnings("ignore:Setting `save_embedding_layers`:UserWarning"),
    pytest.mark.filterwarnings("ignore:Model has `tie_word_embeddings=True`:UserWarning"),
    pytest.mark.filterwarnings("ignore:Model with `tie_word_embeddings=True`:UserWarning"),
]
IDS = torch.tensor([[1, 5, 7, 250, 9]])


def shape(*, tied: bool) -> Any:
    from ngdiff.modeling import read_shape

    config = read_shape("llama-micro")
    config.hidden_size, config.intermediate_size, config.tie_word_embeddings = 32, 64, tied
    return config


def adapted(base: Path, *, rows: int | None = None, **options: Any) -> PeftModel:
    """A model under an adapter that changes it, its embeddings resized to `rows` before."""
    model = load_model(base)
    if rows is not None:
        model.resize_token_embeddings(rows, mean_resizing=False)
    changed = get_peft_model(model, LoraConfig(r=2, task_type="CAUSAL_LM", **options))
    torch.manual_seed(1)
    with torch.no_grad():
        for parameter in changed.parameters():
            if parameter.requires_grad:
                parameter.add_(torch.randn_like(parameter) * 0.1)
    return changed.eval()


def save(model: PeftModel, tokenizer: Any, folder: Path) -> Path:
    save_model(model, tokenizer, folder)
    return folder


def logits(model: Any, ids: torch.Tensor = IDS) -> torch.Tensor:
    with torch.no_grad():
        return model(input_ids=ids).logits


EVERYWHERE = [
    {"target_modules": ["q_proj"]},
    {"target_modules": ["q_proj", "lm_head"]},
    {"target_modules": ["q_proj", "embed_tokens"]},
    {"target_modules": ["q_proj"], "modules_to_save": ["lm_head"]},
    {"target_modules": ["q_proj"], "modules_to_save": ["embed_tokens", "lm_head"]},
]


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("options", EVERYWHERE, ids=str)
def test_loaded_merged_and_saved_it_says_the_same(
    tmp_path: Path, tokenizer: Any, tied: bool, options: dict[str, Any]
) -> None:
    save_model(build_model(shape(tied=tied), tokenizer), tokenizer, tmp_path / "base")
    model = adapted(tmp_path / "base", **options)
    expected = logits(model)
    assert not torch.allclose(expected, logits(load_model(tmp_path / "base")), atol=1e-3)
    loaded = load_model(save(model, tokenizer, tmp_path / "adapter"))
    assert torch.equal(logits(loaded), expected)
    merged = merge_adapter(loaded)
    assert all(parameter.requires_grad for parameter in merged.parameters())
    torch.testing.assert_close(logits(merged), expected, rtol=1e-4, atol=1e-5)
    save_model(merged, tokenizer, tmp_path / "merged")
    again = load_model(tmp_path / "merged")
    assert not isinstance(again, PeftModel)
    assert torch.equal(logits(again), logits(merged))


@pytest.mark.parametrize("tied", [False, True])
@pytest.mark.parametrize("kept", [None, ["lm_head"], ["embed_tokens"], ["embed_tokens", "lm_head"]], ids=str)
def test_an_adapter_that_was_trained_after_the_embeddings_were_resized(
    tmp_path: Path, tokenizer: Any, tied: bool, kept: list[str] | None
) -> None:
    save_model(build_model(shape(tied=tied), tokenizer), tokenizer, tmp_path / "base")
    more = len(tokenizer) + 3
    model = adapted(tmp_path / "base", rows=more, target_modules=["q_proj"], modules_to_save=kept)
    ids = torch.tensor([[1, 5, more - 1, more - 2]])
    loaded = load_model(save(model, tokenizer, tmp_path / "adapter"))
    assert torch.equal(logits(loaded, ids), logits(model, ids))
    again = load_model(save(loaded, tokenizer, tmp_path / "again"))
    assert torch.equal(logits(again, ids), logits(model, ids))


def test_resized_without_the_new_rows(tmp_path: Path, folder: Path, tokenizer: Any) -> None:
    model = adapted(folder, rows=len(tokenizer) + 2, target_modules=["q_proj", "lm_head"])
    saved = save(model, tokenizer, tmp_path / "adapter")
    tensors = load_file(saved / "adapter_model.safetensors")
    rest = {name: tensor for name, tensor in tensors.items() if "lora_" in name}
    save_file(rest, saved / "adapter_model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=rf"trained with {len(tokenizer) + 2} tokens, its base model has"):
        load_model(saved)


@pytest.fixture
def saved(tmp_path: Path, folder: Path, tokenizer: Any) -> Path:
    return save(adapted(folder, target_modules=["q_proj"]), tokenizer, tmp_path / "adapter")


def change(file: Path, **entries: Any) -> None:
    file.write_text(json.dumps(json.loads(file.read_text()) | entries))


@pytest.mark.parametrize(
    ("entries", "message"),
    [
        ({"r": 3}, r"the adapter does not fit its base model .*size mismatch"),
        ({"target_modules": ["q_proj", "v_proj"]}, r"lacks 2 weights, such as .*v_proj.*does not belong to"),
        ({"target_modules": ["v_proj"]}, r"lacks 2 weights, such as .*v_proj"),
        ({"target_modules": ["nope"]}, r"does not fit its base model .*nope"),
        ({"task_type": "SEQ_CLS"}, r"says task_type SEQ_CLS"),
        ({"peft_type": "NOPE"}, r"adapter_config\.json cannot be used: .*NOPE"),
        ({"r": "two"}, r"does not fit|cannot be used"),
    ],
)
def test_an_adapter_that_does_not_fit(saved: Path, entries: dict[str, Any], message: str) -> None:
    change(saved / "adapter_config.json", **entries)
    with pytest.raises(InputError, match=message):
        load_model(saved)


def test_weights_of_an_adapter_that_have_no_place(saved: Path) -> None:
    tensors = load_file(saved / "adapter_model.safetensors")
    extra = {name.replace("q_proj", "v_proj"): tensor.clone() for name, tensor in tensors.items()}
    save_file({**tensors, **extra}, saved / "adapter_model.safetensors", metadata={"format": "pt"})
    with pytest.raises(InputError, match=r"holds, without a place in the model, 2 weights, such as .*v_proj"):
        load_model(saved)


def test_an_adapter_cut_short(saved: Path) -> None:
    file = saved / "adapter_model.safetensors"
    file.write_bytes(file.read_bytes()[:-9])
    with pytest.raises(InputError, match=r"the adapter does not fit its base model"):
        load_model(saved)


def test_virtual_tokens_are_refused(tmp_path: Path, folder: Path, tokenizer: Any) -> None:
    model = get_peft_model(load_model(folder), PromptTuningConfig(num_virtual_tokens=3, task_type="CAUSAL_LM"))
    model.save_pretrained(str(tmp_path / "prompts"))
    with pytest.raises(InputError, match="type PROMPT_TUNING puts virtual tokens in front"):
        load_model(tmp_path / "prompts")


def test_an_adapter_of_an_adapter(tmp_path: Path, saved: Path, tokenizer: Any) -> None:
    """Its base is the other adapter's model, as that one says it."""
    first = merge_adapter(load_model(saved))
    save_model(first, tokenizer, tmp_path / "first")
    second = adapted(tmp_path / "first", target_modules=["v_proj"])
    top = save(second, tokenizer, tmp_path / "second")
    change(top / "adapter_config.json", base_model_name_or_path=str(saved))
    torch.testing.assert_close(logits(load_model(top)), logits(second), rtol=1e-4, atol=1e-5)


def test_the_merged_base_beside_an_adapter_is_its_own(tmp_path: Path, saved: Path, tokenizer: Any) -> None:
    """Also where the place that it was made in holds another by now."""
    merged = merge_adapter(load_model(saved))
    save_model(merged, tokenizer, tmp_path / "run" / "merged_base")
    model = adapted(tmp_path / "run" / "merged_base", target_modules=["v_proj"])
    expected = logits(model)
    save(model, tokenizer, tmp_path / "run")
    (tmp_path / "run").rename(tmp_path / "moved")
    assert torch.equal(logits(load_model(tmp_path / "moved")), expected)
    save_model(build_model("llama-micro", tokenizer, seed=8), tokenizer, tmp_path / "run" / "merged_base")
    assert torch.equal(logits(load_model(tmp_path / "moved")), expected)
