"""Weights of checkpoints whose names or shapes on disk are not those in memory: all are read back, bit for bit."""

import copy

import pytest
import torch
import transformers
from peft import LoraConfig, get_peft_model
from safetensors.torch import load_file, save_file
from torch import nn

from ngdiff.training.checkpoint import CheckpointError
from ngdiff.training.checkpoint_weights import load_weights

BASE = {
    "vocab_size": 64,
    "hidden_size": 32,
    "intermediate_size": 48,
    "num_hidden_layers": 2,
    "num_attention_heads": 4,
    "max_position_embeddings": 64,
    "bos_token_id": 0,
    "eos_token_id": 1,
    "pad_token_id": 2,
}
GROUPED = {**BASE, "num_key_value_heads": 2}
MIXTURE = {**GROUPED, "num_local_experts": 4, "num_experts_per_tok": 2}
MANY = {**GROUPED, "num_experts": 4, "num_experts_per_tok": 2, "moe_intermediate_size": 16, "head_dim": 8}
LATENT = {"q_lora_rank": 16, "kv_lora_rank": 16, "qk_rope_head_dim": 4, "qk_nope_head_dim": 4, "v_head_dim": 8}
LINEAR = {"linear_num_value_heads": 4, "linear_num_key_heads": 2, "linear_key_head_dim": 8, "linear_value_head_dim": 8}
TWO_KINDS = {"layer_types": ["linear_attention", "full_attention"]}

# Kind of model -> its config's options, of all families whose checkpoints are converted, and two that are not.
KINDS = {
    "Llama": GROUPED,
    "GPT2": BASE,
    "GPTNeoX": BASE,
    "Mixtral": MIXTURE,
    "Qwen2Moe": {**MANY, "shared_expert_intermediate_size": 16},
    "Qwen3Moe": MANY,
    "Olmoe": {**GROUPED, "num_experts": 4, "num_experts_per_tok": 2},
    "DeepseekV3": {
        **BASE,
        "num_key_value_heads": 4,
        "n_routed_experts": 4,
        "num_experts_per_tok": 2,
        "n_group": 1,
        "moe_intermediate_size": 16,
        "topk_group": 1,
        "first_k_dense_replace": 1,
        **LATENT,
    },
    "Jamba": {
        **GROUPED,
        "num_experts": 4,
        "num_experts_per_tok": 2,
        "use_mamba_kernels": False,
        "mamba_d_state": 4,
        "attn_layer_period": 2,
        "attn_layer_offset": 1,
        "expert_layer_period": 2,
        "expert_layer_offset": 1,
    },
    "GraniteMoe": MIXTURE,
    "Phimoe": MIXTURE,
    "MiniMax": {**MIXTURE, "head_dim": 8, "block_size": 8, **TWO_KINDS},
    "Qwen3Next": {**MANY, "shared_expert_intermediate_size": 16, **LINEAR, **TWO_KINDS},
    "GptOss": {**MIXTURE, "head_dim": 8, "sliding_window": 8},
}


def build(kind, seed=0):
    """A tiny model with random weights."""
    torch.manual_seed(seed)
    if kind == "Gemma3":
        text = {**GROUPED, "head_dim": 8, "sliding_window": 8, "query_pre_attn_scalar": 8}
        vision = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
        vision |= {"image_size": 32, "patch_size": 16}
        config = transformers.Gemma3Config(text_config=text, vision_config=vision, mm_tokens_per_image=4)
        model = transformers.Gemma3ForConditionalGeneration(config)
    elif kind == "Qwen3_5":
        vision = {"depth": 1, "hidden_size": 32, "intermediate_size": 32, "num_heads": 2, "out_hidden_size": 32}
        text = {**GROUPED, "head_dim": 8, **LINEAR, **TWO_KINDS}
        config = transformers.Qwen3_5Config(text_config=text, vision_config={**vision, "patch_size": 4})
        model = transformers.Qwen3_5ForConditionalGeneration(config)
    else:
        config = getattr(transformers, f"{kind}Config")(**KINDS[kind])
        model = transformers.AutoModelForCausalLM.from_config(config)
    with torch.no_grad():
        for parameter in model.parameters():  # some begin as ones or zeros, which would hide what is not read
            parameter.normal_(0.0, 0.1)
    return model.eval()


def same(one, other):
    one, other = one.state_dict(), other.state_dict()
    return one.keys() == other.keys() and all(torch.equal(one[key], other[key]) for key in one)


@pytest.mark.parametrize("kind", [*KINDS, "Gemma3", "Qwen3_5"])
def test_all_weights_come_back_in_place(tmp_path, kind):
    written, model = build(kind, seed=1), build(kind, seed=2)
    written.save_pretrained(tmp_path)
    before = dict(model.named_parameters())
    generator = torch.get_rng_state()
    load_weights(model, tmp_path)
    assert same(model, written)
    assert all(before[name] is parameter for name, parameter in model.named_parameters())  # an optimizer holds them
    assert torch.equal(torch.get_rng_state(), generator)


@pytest.mark.parametrize("kind", ["GPTNeoX", "Mixtral"])
@pytest.mark.parametrize("dtype", [torch.bfloat16, torch.float16, torch.float64, None])
def test_no_digit_is_lost(tmp_path, kind, dtype):
    written, model = build(kind, seed=1), build(kind, seed=2)
    for each in (written, model):
        if dtype is None:  # both in one model
            each.bfloat16()
            each.get_output_embeddings().float()
        else:
            each.to(dtype)
    written.save_pretrained(tmp_path)
    load_weights(model, tmp_path)
    assert same(model, written)
    assert model.dtype == written.dtype


def test_some_of_these_kinds_are_converted(tmp_path):
    """What this file is about: read by their names in memory, weights would be passed over."""
    converted = []
    for kind in KINDS:
        model = build(kind)
        model.save_pretrained(tmp_path / kind)
        if not load_file(tmp_path / kind / "model.safetensors").keys() <= model.state_dict().keys():
            converted.append(kind)
    assert {"GPTNeoX", "Mixtral", "Qwen3Moe", "DeepseekV3"} <= set(converted)
    assert "Llama" not in converted


@pytest.mark.parametrize("kind", ["Llama", "GPTNeoX", "Mixtral", "Gemma3"])
def test_adapters(tmp_path, kind):
    base = build(kind)

    def adapted(seed):
        torch.manual_seed(seed)
        config = LoraConfig(r=2, target_modules="all-linear", init_lora_weights=False)
        if kind == "Mixtral":  # PEFT cannot adapt routers
            config.target_modules = {"q_proj", "v_proj"}
        return get_peft_model(copy.deepcopy(base), config)

    written, model = adapted(1), adapted(2)
    assert not same(model, written)
    written.save_pretrained(tmp_path)
    load_weights(model, tmp_path)
    assert same(model, written)
    assert [name for name, p in model.named_parameters() if p.requires_grad] == [
        name for name, p in written.named_parameters() if p.requires_grad
    ]


def test_a_module_that_is_no_model_of_transformers(tmp_path):
    written, model = nn.Linear(2, 3), nn.Linear(2, 3)
    save_file(written.state_dict(), tmp_path / "model.safetensors")
    load_weights(model, tmp_path)
    assert same(model, written)


def change(folder, name, edit):
    tensors = load_file(folder / name)
    edit(tensors)
    save_file(tensors, folder / name, metadata={"format": "pt"})


@pytest.mark.parametrize("kind", ["Llama", "GPTNeoX", "Mixtral"])
def test_a_missing_or_unexpected_weight_is_an_error(tmp_path, kind):
    for place in ("missing", "unexpected", "shape"):
        build(kind, seed=1).save_pretrained(tmp_path / place)
    key = next(key for key in load_file(tmp_path / "missing" / "model.safetensors") if "layers.0" in key)
    change(tmp_path / "missing", "model.safetensors", lambda tensors: tensors.pop(key))
    change(tmp_path / "unexpected", "model.safetensors", lambda tensors: tensors.update(more=torch.zeros(1)))
    change(tmp_path / "shape", "model.safetensors", lambda tensors: tensors.update({key: torch.zeros(5)}))
    model = build(kind, seed=2)
    with pytest.raises(CheckpointError, match=r"missing (lack 1 tensors, such as .*layers\.0|cannot be read)"):
        load_weights(model, tmp_path / "missing")
    with pytest.raises(CheckpointError, match=r"unexpected have, beyond those of the model, 1 tensors, such as more"):
        load_weights(model, tmp_path / "unexpected")
    with pytest.raises(CheckpointError, match=r"shape cannot be read"):
        load_weights(model, tmp_path / "shape")
    assert same(model, build(kind, seed=2))  # untouched


def test_a_missing_or_unexpected_weight_of_an_adapter_is_an_error(tmp_path):
    config = LoraConfig(r=2, target_modules="all-linear", init_lora_weights=False)
    model = get_peft_model(build("Llama"), config)
    for place in ("missing", "unexpected"):
        model.save_pretrained(tmp_path / place)
    name = "adapter_model.safetensors"
    key = next(iter(load_file(tmp_path / "missing" / name)))
    change(tmp_path / "missing", name, lambda tensors: tensors.pop(key))
    more = key.replace("layers.0", "layers.7")
    change(tmp_path / "unexpected", name, lambda tensors: tensors.update({more: torch.zeros(2, 2)}))
    with pytest.raises(CheckpointError, match="missing lack 1 tensors"):
        load_weights(model, tmp_path / "missing")
    with pytest.raises(CheckpointError, match=r"1 tensors, such as .*layers\.7"):
        load_weights(model, tmp_path / "unexpected")


def test_files_that_are_no_weights(tmp_path):
    build("Llama").save_pretrained(tmp_path)
    (tmp_path / "model.safetensors").write_bytes(b"no weights")
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_weights(build("Llama"), tmp_path)
    (tmp_path / "model.safetensors").unlink()
    with pytest.raises(CheckpointError, match="cannot be read"):
        load_weights(build("Llama"), tmp_path)
