"""Put an adapter on a model."""

import copy
from pathlib import Path
from typing import Any, cast

import torch
from peft import (
    PeftConfig,
    PeftModel,
    get_peft_model,
    get_peft_model_state_dict,
    set_peft_model_state_dict,
)
from peft.tuners.tuners_utils import BaseTunerLayer
from torch import nn
from transformers.pytorch_utils import Conv1D

from ngdiff.errors import InputError
from ngdiff.modeling.head import output_head
from ngdiff.modeling.load_errors import LIBRARY_ERRORS, reason_of
from ngdiff.paths import full_path

_ALL_LINEAR = "all-linear"
# Layers whose weights Mamba's kernels read directly, bypassing an adapter; PEFT refuses the last.
_READ_BY_KERNELS = ("x_proj", "dt_proj", "out_proj")


def add_adapter(model: Any, config: PeftConfig, *, seed: int) -> PeftModel:
    """The model under a new, trainable adapter; its own weights are frozen, in place.

    Seeds torch's generators, as a Trainer does later: without a seed the adapter's initial weights would differ from
    run to run. "all-linear" leaves out the output head, as PEFT does, and layers on which an adapter does not work:
    `linear_layers`. A model from a folder is named by its full path in the adapter's configuration.

    Raises:
        InputError: the model has an adapter already, or the configuration does not fit the model, as when none of its
            layers has a name that was asked for.
    """
    if isinstance(model, PeftModel) or any(isinstance(module, BaseTunerLayer) for module in model.modules()):
        raise InputError(
            "The model has an adapter already, and a second one would hide it: train the one it has (leave out "
            "--lora-rank, or peft_config), or merge it first (--merge-adapter, or ngdiff.modeling.merge_adapter)"
        )
    config = _without_unfit_layers(model, config)
    # PEFT writes this name beside the adapter: seen from another folder, a relative one is no model, or another.
    name = getattr(model, "name_or_path", "")
    if name and Path(name).is_dir():
        model.name_or_path = str(full_path(name))
    torch.manual_seed(seed)
    try:
        adapted = cast(PeftModel, get_peft_model(model, config))
    except LIBRARY_ERRORS as error:
        raise InputError(f"The adapter does not fit the model: {reason_of(error)} {_named(model)}") from error
    _check_readable(adapted)
    return adapted


def _check_readable(model: PeftModel) -> None:
    """Refuse an adapter that PEFT writes under names that it cannot read back: shared experts of Laguna, in 0.21."""
    state = get_peft_model_state_dict(model, save_embedding_layers=False)
    read: Any = set_peft_model_state_dict(model, state)
    missing = set(read.missing_keys)
    lost = {name for name, parameter in model.named_parameters() if parameter.requires_grad} & missing
    if lost:
        layers = sorted({name.partition(".lora_")[0].removeprefix("base_model.model.") for name in lost})
        raise InputError(
            f"The adapter could not be read after it was saved: PEFT finds no weights for {len(layers)} layers such as "
            f"{layers[0]}; leave them out with --lora-target-modules"
        )


def _without_unfit_layers(model: nn.Module, config: PeftConfig) -> PeftConfig:
    if getattr(config, "target_modules", None) != _ALL_LINEAR:
        return config
    fit = linear_layers(model)
    if not fit:
        raise InputError(f"The adapter does not fit the model: no linear layer of it can have one. {_named(model)}")
    chosen = copy.copy(config)
    chosen.target_modules = set(fit)  # type: ignore[attr-defined]
    return chosen


def linear_layers(model: nn.Module) -> list[str]:
    """Names of the linear layers that "all-linear" means.

    Without the output head; the router of some mixtures (PhiMoE, Llama 4), whose class is a linear layer and which
    returns scores and choices; and the layers whose weights Mamba's kernels read directly.
    """
    head = output_head(model)
    found = []
    for name, module in model.named_modules():
        if not isinstance(module, nn.Linear | Conv1D) or module is head:
            continue
        if not _computes_a_product(module):
            continue
        place, _, own = name.rpartition(".")
        parent = model.get_submodule(place)
        if own in _READ_BY_KERNELS and hasattr(parent, "A_log") and hasattr(parent, "D"):
            continue
        found.append(name)
    return found


@torch.no_grad()
def _computes_a_product(module: Any) -> bool:
    """Whether a linear layer computes a plain product: one that overrides `forward` is tried on a row of zeros."""
    if type(module).forward in (nn.Linear.forward, Conv1D.forward):
        return True
    if not type(module).__module__.startswith("transformers.models"):  # of a library of quantised weights
        return True
    row = torch.zeros(1, module.in_features, dtype=module.weight.dtype, device=module.weight.device)
    try:
        found = module(row)
    except LIBRARY_ERRORS:  # it takes another shape than its class: groups of rows (DeepSeek-V4)
        return False
    return isinstance(found, torch.Tensor) and found.shape == (1, module.out_features)


def _named(model: nn.Module) -> str:
    """The last parts of the names of layers that --lora-target-modules may name."""
    names = sorted({name.rpartition(".")[2] for name in linear_layers(model)})
    return f"--lora-target-modules takes names such as {', '.join(names[:12])}" if names else "Train all weights"
