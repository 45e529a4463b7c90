"""A model of fake tensors, from its config alone, as `ngdiff.modeling.load_model` would load it."""

from pathlib import Path
from typing import Any, cast

import torch
from peft import PeftConfig, get_peft_model
from torch import Tensor, nn
from torch._subclasses.fake_tensor import FakeTensorMode
from transformers import AutoConfig, AutoModelForCausalLM, PreTrainedConfig
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from ngdiff.errors import InputError
from ngdiff.modeling.adapter import add_adapter
from ngdiff.modeling.build import read_config, read_shape
from ngdiff.modeling.folders import adapter_base, local_folder
from ngdiff.modeling.gguf_files import gguf_file, read_gguf_config
from ngdiff.modeling.load import dtype_of
from ngdiff.modeling.load_errors import first_line
from ngdiff.modeling.shapes import SHAPES, is_shape


def fake_model(
    name: str | Path,
    fake: FakeTensorMode,
    *,
    tokenizer: PreTrainedTokenizerBase,
    dtype: str = "float32",
    device: str | torch.device = "cpu",
    peft_config: PeftConfig | None = None,
    merge_adapter: bool = False,
    trust_remote_code: bool = False,
) -> Any:
    """A causal language model of fake tensors (shapes, no values), possibly under an adapter.

    Args:
        name: Hub name, folder (weights are not needed), adapter folder, shape or `config.json`.
        fake: Makes the tensors.
        tokenizer: A shape has at least as many words as it has tokens.
        dtype: Type of the weights: a key of `ngdiff.modeling.load.DTYPES`.
        device: The device that the tensors report.
        peft_config: A new adapter on top.
        merge_adapter: For an adapter folder its base is used, which has as many weights as both merged.
        trust_remote_code: Run Python code that comes with the model.

    Raises:
        InputError: no config of that name, one that is no causal language model's, or an unknown `dtype`.
    """
    named = dtype_of(dtype)
    folder = None if is_shape(str(name)) or gguf_file(name) is not None else local_folder(name)
    base = None if folder is None else adapter_base(folder)
    config = _config(base or name, tokenizer, trust_remote_code)
    wanted = named if dtype != "auto" else getattr(config, "dtype", None) or torch.float32
    with torch.device("meta"):
        try:
            model = AutoModelForCausalLM.from_config(config, dtype=wanted, trust_remote_code=trust_remote_code)
        except ValueError as error:
            raise InputError(f"Model {name}: no causal language model is of this kind: {first_line(error)}") from error
        if base is not None and not merge_adapter:
            adapter = PeftConfig.from_pretrained(str(folder))
            adapter.inference_mode = False
            model = cast(Any, get_peft_model(model, adapter))
        if peft_config is not None:
            model = cast(Any, add_adapter(model, peft_config, seed=0))
    _make_fake(model, fake, torch.device(device))
    model.to = lambda *args, **kwargs: model  # fake tensors cannot be moved in place, and need not be
    return model.eval()


def _make_fake(model: nn.Module, fake: FakeTensorMode, device: torch.device) -> None:
    """Turn meta tensors, in place, into fake ones that report a device; tied tensors stay tied."""
    made: dict[int, Tensor] = {}
    for module in model.modules():
        for name, tensor in [*module._parameters.items(), *module._buffers.items()]:
            if tensor is None:
                continue
            if id(tensor) not in made:
                with fake:
                    like = torch.empty_strided(tensor.shape, tensor.stride(), dtype=tensor.dtype, device=device)
                made[id(tensor)] = nn.Parameter(like, tensor.requires_grad) if name in module._parameters else like
            table = module._parameters if name in module._parameters else module._buffers
            cast(Any, table)[name] = made[id(tensor)]


def _config(name: str | Path, tokenizer: PreTrainedTokenizerBase, trust_remote_code: bool) -> PreTrainedConfig:
    if is_shape(str(name)):
        config = read_shape(name)
        config.vocab_size = len(tokenizer) if str(name) in SHAPES else max(config.vocab_size, len(tokenizer))
        return config
    if (packed := gguf_file(name)) is not None:
        return read_gguf_config(name, packed)
    folder = local_folder(name)
    if folder is not None:
        if not (folder / "config.json").is_file():
            raise InputError(f"Model {name}: no config.json in this folder.")
        if not trust_remote_code:
            return read_config(folder)
    try:
        return AutoConfig.from_pretrained(folder or name, trust_remote_code=trust_remote_code)
    except (OSError, ValueError) as error:
        reason = first_line(error)
        raise InputError(f"Model {name}: no config can be loaded: {reason}") from error
