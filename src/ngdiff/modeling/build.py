"""Small models with random weights: named shapes, and shapes read from a `config.json`."""

import json
from pathlib import Path

import torch
from transformers import AutoConfig, AutoModelForCausalLM, LlamaConfig, PreTrainedConfig, PreTrainedModel
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from ngdiff.errors import InputError
from ngdiff.modeling.load_errors import first_line
from ngdiff.modeling.shapes import MODEL_SHAPES, SHAPES


def build_model(
    shape: str | Path | PreTrainedConfig, tokenizer: PreTrainedTokenizerBase, seed: int = 0
) -> PreTrainedModel:
    """A causal language model of `shape` with random fp32 weights for the vocabulary of `tokenizer`.

    Equal arguments give equal weights; the state of the global random number generator is left unchanged.

    Args:
        shape: A name of `SHAPES` or `MODEL_SHAPES`, a `config.json` file or a folder that holds one, or a config
            (not changed).
        tokenizer: Gives the vocabulary size and the ids of the begin, end and pad tokens.
        seed: Of the weights.

    Raises:
        InputError: `shape` is none of these, or is no causal language model.
    """
    config = read_shape(shape)
    config.vocab_size = len(tokenizer)
    config.bos_token_id = tokenizer.bos_token_id
    config.eos_token_id = tokenizer.eos_token_id
    config.pad_token_id = tokenizer.pad_token_id
    # A config of a checkpoint names that checkpoint's precision; training from random weights wants fp32.
    config.dtype = torch.float32
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            model = AutoModelForCausalLM.from_config(config, dtype=torch.float32)
        except ValueError as error:
            raise InputError(f"Shape {shape}: no causal language model is of this kind: {first_line(error)}") from error
    return model


def read_shape(shape: str | Path | PreTrainedConfig) -> PreTrainedConfig:
    """The config of a shape, with the vocabulary of the original where the shape is that of a published model.

    Args:
        shape: As for `build_model`.

    Raises:
        InputError: `shape` is not known, or no config can be read there.
    """
    if isinstance(shape, PreTrainedConfig):
        return type(shape).from_dict(shape.to_dict())
    if str(shape) in SHAPES:
        return LlamaConfig(**SHAPES[str(shape)])
    path = MODEL_SHAPES.get(str(shape), Path(shape))
    if not (path.is_file() or (path / "config.json").is_file()):
        raise InputError(
            f"Shape {str(shape)!r} is not known; use one of {', '.join([*SHAPES, *MODEL_SHAPES])}, a config.json file, "
            "or a folder with one."
        )
    return read_config(path)


def read_config(path: Path) -> PreTrainedConfig:
    """The config in a file, or in the `config.json` of a folder.

    Raises:
        InputError: it is none.
    """
    file = path / "config.json" if path.is_dir() else path
    try:
        # Read here first: what transformers raises for JSON that is no object differs between its versions.
        if not isinstance(json.loads(file.read_text(encoding="utf-8")), dict):
            raise ValueError("it holds no JSON object")
        return AutoConfig.from_pretrained(path, trust_remote_code=False)
    except (OSError, ValueError) as error:
        raise InputError(f"Shape {path}: not a readable model config: {first_line(error)}") from error
