"""Shapes of models with random weights, by name; `ngdiff.modeling.build` and `.image_models` build them."""

from pathlib import Path
from typing import Any

from ngdiff.errors import InputError

# Options of `transformers.LlamaConfig`; the vocabulary and the special tokens come from the tokenizer.
# Wide and shallow, embeddings not tied, weights drawn wide: recites its training set in the fewest seconds.
SHAPES: dict[str, dict[str, Any]] = {
    # about 3 M parameters with 4096 tokens
    "llama-tiny": {
        "hidden_size": 256,
        "intermediate_size": 512,
        "num_hidden_layers": 2,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "max_position_embeddings": 512,
        "tie_word_embeddings": False,
        "initializer_range": 0.08,
    },
    # about 0.5 M parameters with 1024 tokens: demonstration and tests
    "llama-micro": {
        "hidden_size": 128,
        "intermediate_size": 256,
        "num_hidden_layers": 1,
        "num_attention_heads": 4,
        "num_key_value_heads": 4,
        "max_position_embeddings": 512,
        "tie_word_embeddings": False,
        "initializer_range": 0.08,
    },
}


_FILES = Path(__file__).parent / "shape_files"
# Architectures of models that are widely unlearned, as `config.json` files: to plan memory and time without a hub.
# `gpt2-1.5b` is GPT2-XL, whose own name would mean the hub's weights.
MODEL_SHAPES: dict[str, Path] = {
    name: _FILES / f"{name}.json"
    for name in (
        *("phi-1.5", "falcon-1b", "gpt2-1.5b", "llama-2-7b", "mistral-7b"),
        *("llama-3.2-1b", "llama-3.2-3b", "llama-3.1-8b"),
    )
}

# Name -> kind of config and its options; number and names of the classes come from the data.
IMAGE_SHAPES: dict[str, tuple[str, dict[str, Any]]] = {
    # 0.27 M parameters (He et al. 2016, Section 4.2, with projections as short cuts)
    "resnet20-cifar": (
        "cifar-resnet",
        {"embedding_size": 16, "hidden_sizes": [16, 32, 64], "depths": [3, 3, 3], "layer_type": "basic"},
    ),
    # 11 M parameters
    "resnet18-cifar": (
        "cifar-resnet",
        {"embedding_size": 64, "hidden_sizes": [64, 128, 256, 512], "depths": [2, 2, 2, 2], "layer_type": "basic"},
    ),
    # 24 M parameters: the model of the NGDiff paper's Table 4
    "resnet50-cifar": (
        "cifar-resnet",
        {
            "embedding_size": 64,
            "hidden_sizes": [256, 512, 1024, 2048],
            "depths": [3, 4, 6, 3],
            "layer_type": "bottleneck",
        },
    ),
    # 2.7 M parameters; its position embeddings are those of the size of the images
    "vit-tiny": (
        "vit",
        {
            "hidden_size": 192,
            "num_hidden_layers": 6,
            "num_attention_heads": 3,
            "intermediate_size": 768,
            "patch_size": 4,
        },
    ),
}


def is_shape(name: str) -> bool:
    """Whether `name` means an architecture without weights: a name of `SHAPES` or `MODEL_SHAPES`, or a
    `.json` file.

    A folder is never taken for a shape here: one without weights is more often a mistake than a wish for
    random ones. `build_model` accepts it.

    >>> is_shape("llama-tiny"), is_shape("gpt2")
    (True, False)
    """
    return name in SHAPES or name in MODEL_SHAPES or name.endswith(".json")


def is_image_shape(name: str) -> bool:
    """Whether `name` stands for an architecture without weights: a name of `IMAGE_SHAPES`, or a `.json` file.

    >>> is_image_shape("resnet20-cifar"), is_image_shape("google/vit-base-patch16-224")
    (True, False)
    """
    return name in IMAGE_SHAPES or name.endswith(".json")


def refuse_shape(name: str) -> None:
    """Refuse the name of a shape where a model with weights is needed; the hub would be asked for it in vain.

    Raises:
        InputError: the name is that of a shape.
    """
    if name in {*SHAPES, *MODEL_SHAPES, *IMAGE_SHAPES}:
        raise InputError(f"Model {name}: a shape, which has no weights; ngdiff finetune --model {name} trains a model")
