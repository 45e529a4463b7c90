"""Image classifiers: loaded by name or folder, or built with random weights."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import torch
from safetensors import SafetensorError
from transformers import (
    AutoConfig,
    AutoModelForImageClassification,
    PreTrainedConfig,
    PreTrainedModel,
    ViTConfig,
)

from ngdiff.errors import InputError
from ngdiff.modeling.build import read_config
from ngdiff.modeling.cifar_resnet import CifarResNetConfig
from ngdiff.modeling.folders import check_weights, is_adapter, local_folder
from ngdiff.modeling.load import dtype_of
from ngdiff.modeling.load_errors import first_line, lacking_weights
from ngdiff.modeling.shapes import IMAGE_SHAPES, refuse_shape

_KINDS: dict[str, type[PreTrainedConfig]] = {"cifar-resnet": CifarResNetConfig, "vit": ViTConfig}


def build_image_model(
    shape: str | Path, class_names: Sequence[str], size: tuple[int, int], seed: int = 0
) -> PreTrainedModel:
    """A classifier of `shape` with random fp32 weights and one output for each class.

    Equal arguments give equal weights; the state of the global random number generator is left unchanged.

    Args:
        shape: A name of `IMAGE_SHAPES` or a `config.json` file.
        class_names: Names of the classes, in the order of their labels.
        size: Height and width of the images; a model that is built for one size (`image_size`) is built for this.
        seed: Of the weights.

    Raises:
        InputError: `shape` is neither, or is no image classifier.
    """
    config = _read_shape(shape)
    config.id2label = dict(enumerate(class_names))
    config.label2id = {name: label for label, name in enumerate(class_names)}
    if hasattr(config, "image_size"):
        config.image_size = size[0] if size[0] == size[1] else list(size)
    config.dtype = torch.float32
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        try:
            return AutoModelForImageClassification.from_config(config, dtype=torch.float32)
        except ValueError as error:
            raise InputError(f"Shape {shape}: no image classifier is of this kind: {first_line(error)}") from error


def load_image_model(
    name: str | Path,
    *,
    class_names: Sequence[str] | None = None,
    seed: int = 0,
    dtype: str = "float32",
    trust_remote_code: bool = False,
) -> PreTrainedModel:
    """An image classifier with all its weights from a checkpoint, in evaluation mode.

    Args:
        name: Hub name or local folder.
        class_names: Give the model these classes, to train a published model on one's own: where it has another number
            of outputs, its head is a new one with random weights. None: the model must be whole.
        seed: Of a new head.
        dtype: A name of `ngdiff.modeling.load.DTYPES`.
        trust_remote_code: Run Python code that comes with the model; only for sources you trust.

    Raises:
        InputError: there is no such folder; it holds no weights, or only pickled ones; it is no image classifier; or
            the checkpoint lacks some of the model's weights, which would be random.
    """
    weights_dtype = dtype_of(dtype)
    folder = local_folder(name)
    if folder is None:
        refuse_shape(str(name))
    else:
        check_weights(folder)
        if is_adapter(folder):
            raise InputError(f"Model {name}: an adapter; image classifiers are trained whole")
    more: dict[str, Any] = {}
    try:
        config = AutoConfig.from_pretrained(folder or name, trust_remote_code=trust_remote_code)
        if class_names is not None and list(config.id2label.values()) != list(class_names):
            more = {"id2label": dict(enumerate(class_names)), "label2id": {n: i for i, n in enumerate(class_names)}}
            more["ignore_mismatched_sizes"] = True
        load: Any = AutoModelForImageClassification.from_pretrained
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(seed)
            model, info = load(
                folder or name,
                dtype=weights_dtype,
                trust_remote_code=trust_remote_code,
                use_safetensors=True,
                output_loading_info=True,
                **more,
            )
    except (OSError, ValueError, SafetensorError) as error:
        where = "no folder of that name here, and no image classifier from the hub" if folder is None else "not loaded"
        raise InputError(f"Model {name}: {where}: {first_line(error)}") from error
    missing = sorted(set(info["missing_keys"]) - (_head_keys(model) if more else set()))
    if missing:
        raise lacking_weights(name, missing)
    return model.eval()


def class_names_of(model: Any) -> tuple[str, ...] | None:
    """Names of a model's classes in the order of its outputs; None where it does not name them."""
    names = getattr(getattr(model, "config", None), "id2label", None)
    if not names:
        return None
    found = tuple(str(names[label]) for label in sorted(names))
    unnamed = all(name == f"LABEL_{label}" for label, name in enumerate(found))
    return None if unnamed else found


def _head_keys(model: PreTrainedModel) -> set[str]:
    """Weights outside the body: those of a new head."""
    prefix = f"{model.base_model_prefix}."
    return {key for key in model.state_dict() if not key.startswith(prefix)}


def _read_shape(shape: str | Path) -> PreTrainedConfig:
    if str(shape) in IMAGE_SHAPES:
        kind, options = IMAGE_SHAPES[str(shape)]
        return _KINDS[kind](**options)
    path = Path(shape)
    if not path.is_file():
        raise InputError(
            f"Shape {str(shape)!r} is not known; use one of {', '.join(IMAGE_SHAPES)}, or a config.json file."
        )
    return read_config(path)
