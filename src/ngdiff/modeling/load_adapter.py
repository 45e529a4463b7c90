"""Put a saved PEFT adapter on its base model."""

import logging
import warnings
from pathlib import Path
from typing import Any, cast

from peft import PeftConfig, PeftModel
from safetensors import safe_open
from torch import nn
from transformers import PreTrainedModel

from ngdiff.errors import InputError
from ngdiff.file_names import ADAPTER_CONFIG
from ngdiff.modeling.folders import adapter_base, base_name
from ngdiff.modeling.load_errors import LIBRARY_ERRORS, reason_of
from ngdiff.paths import full_path

logger = logging.getLogger(__name__)

_WEIGHTS = "adapter_model.safetensors"


def load_adapter(folder: Path, base: PreTrainedModel) -> PeftModel:
    """`base` under the adapter in `folder`, trainable, in evaluation mode.

    Where the adapter was trained with more tokens than the base has, and holds all their embeddings, the base is
    resized.

    Raises:
        InputError: an adapter of another model or another kind of task, one whose weights are not all there, or one
            that adds virtual tokens in front of the text.
    """
    config = _config(folder)
    if isinstance(place := adapter_base(folder), Path):  # from where the adapter is saved, a relative name is another
        _warn_of_relative_name(folder, place)
        config.base_model_name_or_path = str(full_path(place))
    try:
        shapes = _shapes(folder / _WEIGHTS)
        _resize(base, shapes, folder)
        with warnings.catch_warnings():
            warnings.filterwarnings("ignore", message="(?s).*Found missing adapter keys")  # refused below
            model = PeftModel.from_pretrained(base, str(folder), is_trainable=True, config=config)
        # Once more: PEFT reports unexpected and missing weights only when they are loaded into a model.
        found: Any = model.load_adapter(str(folder), "default", is_trainable=True)
    except LIBRARY_ERRORS as error:
        if isinstance(error, InputError):
            raise
        raise InputError(
            f"Model {folder}: the adapter does not fit its base model {config.base_model_name_or_path}: "
            f"{reason_of(error)}"
        ) from error
    # PEFT writes some trained copies of whole modules twice.
    twice = {key for key in shapes if ".modules_to_save." in key and key.replace(".modules_to_save", "") in shapes}
    unused = set(found.unexpected_keys) - twice
    for keys, what in ((found.missing_keys, "lacks"), (unused, "holds, without a place in the model,")):
        if keys:
            raise InputError(
                f"Model {folder}: {_WEIGHTS} {what} {len(keys)} weights, such as {sorted(keys)[0]}; it does not belong "
                f"to {ADAPTER_CONFIG} and the base model {config.base_model_name_or_path}."
            )
    return model.eval()


def _warn_of_relative_name(folder: Path, base: Path) -> None:
    """Say which model is taken where that depends on the current folder, as it may be another of the same name."""
    name = base_name(folder)
    if base == Path(name) and not base.is_absolute():
        logger.warning(
            "Model %s: %s names its base model by a relative path, %s: taken is %s, seen from the current folder. If "
            "that is not the model that the adapter was trained on, give the full path there "
            "(base_model_name_or_path).",
            folder,
            ADAPTER_CONFIG,
            name,
            full_path(base),
        )


def _config(folder: Path) -> PeftConfig:
    try:
        config: Any = PeftConfig.from_pretrained(str(folder))
    except LIBRARY_ERRORS as error:
        raise InputError(f"Model {folder}: {ADAPTER_CONFIG} cannot be used: {reason_of(error)}") from error
    if config.is_prompt_learning:
        raise InputError(
            f"Model {folder}: an adapter of type {config.peft_type.value} puts virtual tokens in front of each text "
            "and cannot be trained or evaluated here; adapters of weights (LoRA and its like) can."
        )
    if config.task_type not in (None, "CAUSAL_LM"):
        raise InputError(
            f"Model {folder}: {ADAPTER_CONFIG} says task_type {config.task_type}; an adapter of a causal language "
            "model says CAUSAL_LM."
        )
    config.inference_mode = False
    return config


def _shapes(file: Path) -> dict[str, list[int]]:
    with safe_open(file, framework="pt") as tensors:
        return {name: list(tensors.get_slice(name).get_shape()) for name in tensors.keys()}  # noqa: SIM118


def _resize(base: PreTrainedModel, shapes: dict[str, list[int]], folder: Path) -> None:
    """Give the base as many embeddings as the adapter was trained with, if it holds them all."""
    ends = [base.get_input_embeddings(), base.get_output_embeddings()]
    names = [_name_of(base, module) for module in ends if module is not None]
    found = [_rows(shapes, name) for name in names]
    rows = max((count for count, _ in found), default=0)
    present = int(cast(Any, ends[0]).weight.shape[0])
    if not rows or rows == present:
        return
    tied = len(ends) > 1 and ends[1] is not None and ends[0].weight is ends[1].weight
    whole = [is_whole for _, is_whole in found]
    if not (all(whole) or (tied and any(whole))):
        raise InputError(
            f"Model {folder}: the adapter was trained with {rows} tokens, its base model has {present}, and it does "
            "not hold the embeddings of the others; give the base model whose embeddings were resized "
            "(base_model_name_or_path in adapter_config.json)."
        )
    base.resize_token_embeddings(rows, mean_resizing=False)


def _name_of(base: nn.Module, wanted: nn.Module) -> str:
    return next(name for name, module in base.named_modules() if module is wanted)


def _rows(shapes: dict[str, list[int]], module: str) -> tuple[int, bool]:
    """How many rows a saved adapter has for a module, 0 if unknown; whether it holds the rows themselves."""
    rows, whole = 0, False
    for name, shape in shapes.items():
        part = name.removeprefix(f"base_model.model.{module}.")
        if part == name:
            continue
        if part == "lora_embedding_A":
            rows = max(rows, shape[1])
        elif part == "lora_B.weight" or (part.endswith("weight") and "lora_" not in part):
            rows = max(rows, shape[0])
            whole |= "lora_" not in part
    return rows, whole
