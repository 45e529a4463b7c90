import json
from collections.abc import Callable
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, GPT2Config, PreTrainedModel, PreTrainedTokenizerFast

from ngdiff.errors import InputError
from ngdiff.modeling import (
    MODEL_SHAPES,
    SHAPES,
    build_model,
    is_shape,
    load_image_model,
    load_model,
    load_tokenizer,
    read_shape,
)

# Parameters outside the two embedding matrices, in millions, that the table promises.
BODIES = {"llama-tiny": 1.3, "llama-micro": 0.16}


def equal(one: torch.nn.Module, other: torch.nn.Module) -> bool:
    pairs = zip(one.parameters(), other.parameters(), strict=True)
    return all(torch.equal(a, b) for a, b in pairs)


def test_every_shape_has_a_size_here() -> None:
    assert BODIES.keys() == SHAPES.keys()


@pytest.mark.parametrize("shape", SHAPES)
def test_size_and_special_tokens(shape: str, tokenizer: PreTrainedTokenizerFast) -> None:
    model = build_model(shape, tokenizer)
    embeddings = 2 * len(tokenizer) * model.config.hidden_size
    body = sum(p.numel() for p in model.parameters()) - embeddings
    assert body / 1e6 == pytest.approx(BODIES[shape], rel=0.05)
    assert model.config.vocab_size == len(tokenizer)
    assert model.get_input_embeddings().weight.shape[0] == len(tokenizer)
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    for config in (model.config, model.generation_config):
        found = (config.bos_token_id, config.eos_token_id, config.pad_token_id)
        assert found == (tokenizer.bos_token_id, tokenizer.eos_token_id, tokenizer.pad_token_id)


def test_a_seed_fixes_the_weights_and_no_other_random_numbers(tokenizer: PreTrainedTokenizerFast) -> None:
    torch.manual_seed(5)
    expected = torch.rand(3)
    torch.manual_seed(5)
    one = build_model("llama-micro", tokenizer, seed=3)
    assert torch.equal(torch.rand(3), expected)
    assert equal(one, build_model("llama-micro", tokenizer, seed=3))
    assert not equal(one, build_model("llama-micro", tokenizer, seed=4))


def test_a_config_file_or_folder_is_a_shape(
    folder: Path, tokenizer: PreTrainedTokenizerFast, model: PreTrainedModel
) -> None:
    for shape in (folder, folder / "config.json", str(folder / "config.json"), model.config):
        assert equal(build_model(shape, tokenizer, seed=1), model)


def test_the_precision_of_a_config_is_not_taken_over(folder: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    path = folder / "config.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | {"dtype": "bfloat16"}))
    assert build_model(path, tokenizer).dtype == torch.float32


def test_other_architectures_and_the_config_given_stays_as_it_was(tokenizer: PreTrainedTokenizerFast) -> None:
    config = GPT2Config(n_embd=16, n_layer=1, n_head=2, vocab_size=7)
    model = build_model(config, tokenizer)
    assert model.config.model_type == "gpt2"
    assert model.config.vocab_size == len(tokenizer)
    assert config.vocab_size == 7


def test_is_shape() -> None:
    assert is_shape("llama-micro")
    assert is_shape("here/config.json")
    assert not is_shape("owner/model")
    assert not is_shape("folder")


def test_unknown_shape(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    for shape in ("llama-huge", str(tmp_path), str(tmp_path / "config.json")):
        with pytest.raises(
            InputError, match=r"is not known; use one of llama-tiny, llama-micro, phi-1.5, .*, a config"
        ):
            build_model(shape, tokenizer)


@pytest.mark.parametrize("text", ["{", "{}", '{"model_type": "nothing-of-this-name"}', "[]"])
def test_a_file_that_is_no_model_config(text: str, tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    path = tmp_path / "config.json"
    path.write_text(text)
    with pytest.raises(InputError, match=r"config\.json: not a readable model config: ."):
        build_model(path, tokenizer)


def test_a_model_of_another_kind(tmp_path: Path, tokenizer: PreTrainedTokenizerFast) -> None:
    path = tmp_path / "config.json"
    path.write_text('{"model_type": "vit"}')
    with pytest.raises(InputError, match="no causal language model is of this kind"):
        build_model(path, tokenizer)


# Parameters of the published checkpoints, tied matrices counted once.
PUBLISHED = {
    "phi-1.5": 1_418_270_720,
    "falcon-1b": 1_311_625_216,
    "gpt2-1.5b": 1_557_611_200,
    "llama-2-7b": 6_738_415_616,
    "mistral-7b": 7_241_732_096,
    "llama-3.2-1b": 1_235_814_400,
    "llama-3.2-3b": 3_212_749_824,
    "llama-3.1-8b": 8_030_261_248,
}


def test_every_published_shape_has_a_size_here() -> None:
    assert PUBLISHED.keys() == MODEL_SHAPES.keys()


@pytest.mark.parametrize("shape", MODEL_SHAPES)
def test_published_shapes_have_exactly_the_parameters_of_their_models(shape: str) -> None:
    assert is_shape(shape)
    config = read_shape(shape)
    with torch.device("meta"):
        model = AutoModelForCausalLM.from_config(config)
    assert sum(p.numel() for p in model.parameters()) == PUBLISHED[shape]
    assert model.get_output_embeddings().weight.shape[0] == config.vocab_size


@pytest.mark.parametrize(
    ("load", "name"),
    [(load_model, "llama-tiny"), (load_tokenizer, "llama-2-7b"), (load_image_model, "resnet20-cifar")],
)
def test_a_shape_is_not_looked_for_on_the_hub(load: Callable[[str], object], name: str) -> None:
    with pytest.raises(
        InputError, match=f"Model {name}: a shape, which has no weights; ngdiff finetune --model {name}"
    ):
        load(name)
