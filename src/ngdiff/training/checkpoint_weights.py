"""Weights of a checkpoint, read as `from_pretrained` reads them: all of them, or an error.

Names and shapes on disk may differ from those in memory (GPT-NeoX, mixtures of experts, models with vision), and
`save_pretrained` writes those of the disk. `Trainer` reads them with `load_state_dict(strict=False)`, which leaves what
it does not find by its name in memory as it was: the weights of the model that the run began with.
"""

from functools import reduce
from pathlib import Path
from typing import Any, cast

import torch
from peft import PeftModel
from safetensors import SafetensorError
from safetensors.torch import load_file
from torch import Tensor, nn
from torch.distributed.checkpoint.state_dict import StateDictOptions, set_model_state_dict
from transformers import PreTrainedModel

from ngdiff.core.shards import is_sharded
from ngdiff.modeling.padding_row import restore_padding_row
from ngdiff.training.checkpoint import CheckpointError


def load_weights(model: nn.Module, folder: str | Path) -> None:
    """Copy the weights that `save_pretrained` wrote to `folder` into `model`, in place.

    Of a PEFT model those of its adapters. The state of torch's random number generator is left unchanged.

    Args:
        model: Of the class, shape and adapters that the folder was written from.
        folder: A checkpoint.

    Raises:
        CheckpointError: a weight is missing, is one too many or has another shape, or a file cannot be read.
    """
    folder = Path(folder)
    with torch.random.fork_rng(devices=[]):  # `from_pretrained` draws for weights that it does not find
        try:
            if isinstance(model, PeftModel):
                _load_adapters(model, folder)
            elif isinstance(model, PreTrainedModel):
                _copy(model, _read(model, folder), folder)
            else:
                _copy(model, load_file(folder / "model.safetensors"), folder)
        except CheckpointError:
            raise
        except (OSError, ValueError, RuntimeError, SafetensorError) as error:
            raise CheckpointError(f"the weights in {folder} cannot be read: {error}") from error


def _load_adapters(model: PeftModel, folder: Path) -> None:
    for name in model.peft_config:
        here = folder if name == "default" else folder / name  # as PEFT writes them
        result: Any = model.load_adapter(str(here), name, is_trainable=True, torch_device="cpu")
        _refuse(here, missing=result.missing_keys, unexpected=result.unexpected_keys)


def _read(model: PreTrainedModel, folder: Path) -> dict[str, Tensor]:
    """State of a second model of the same class, in a type that loses no digit."""
    types = {tensor.dtype for tensor in model.state_dict().values() if tensor.is_floating_point()}
    load: Any = type(model).from_pretrained
    loaded, info = load(
        str(folder),
        dtype=reduce(torch.promote_types, types) if types else "auto",
        use_safetensors=True,
        local_files_only=True,
        output_loading_info=True,
    )
    _refuse(folder, missing=info["missing_keys"], unexpected=info["unexpected_keys"])
    restore_padding_row(loaded, folder)
    return cast(dict[str, Tensor], loaded.state_dict())


def _copy(model: nn.Module, state: dict[str, Tensor], folder: Path) -> None:
    own = model.state_dict().keys()
    _refuse(folder, missing=own - state.keys(), unexpected=state.keys() - own)
    if any(is_sharded(parameter) for parameter in model.parameters()):
        set_model_state_dict(
            model, cast(dict[str, Any], state), options=StateDictOptions(full_state_dict=True, strict=True)
        )
        return
    model.load_state_dict(state, strict=True)


def _refuse(folder: Path, *, missing: Any, unexpected: Any) -> None:
    for keys, what in ((sorted(missing), "lack"), (sorted(unexpected), "have, beyond those of the model,")):
        if keys:
            raise CheckpointError(f"the weights in {folder} {what} {len(keys)} tensors, such as {keys[0]}")
