"""Errors that libraries raise for model files that they cannot use, and their text in one line."""

import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError

from ngdiff.errors import InputError

# Values of a model's files go straight into sizes of tensors, divisors, keys of tables and calls: there is no narrower
# class for "transformers cannot use this value". The kind of error is named with its text.
LIBRARY_ERRORS = (
    OSError,
    ValueError,
    TypeError,
    LookupError,
    AttributeError,
    ImportError,
    ArithmeticError,
    AssertionError,
    RuntimeError,
    MemoryError,
    SafetensorError,
    StrictDataclassError,
)
_LONGEST = 400


def reason_of(error: BaseException) -> str:
    """The text of an error in one line, cut where a library lists all that it knows; its kind where it has no text.

    >>> reason_of(ZeroDivisionError("division\\n by zero")), reason_of(KeyError("type"))
    ('division by zero', "KeyError: 'type'")
    """
    text = " ".join(str(error).split())
    if isinstance(error, KeyError | AssertionError) or not text:
        text = f"{type(error).__name__}: {text}".removesuffix(": ")
    return text if len(text) <= _LONGEST else text[:_LONGEST].rpartition(" ")[0] + " ..."


def first_line(error: BaseException) -> str:
    """The first line of an error's text, where a library goes on with all that it knows.

    >>> first_line(ValueError("unknown kind\\nknown are ..."))
    'unknown kind'
    """
    return str(error).strip().partition("\n")[0]


def lacking_weights(name: str | Path, missing: Sequence[str]) -> InputError:
    """The refusal of a model whose checkpoint lacks some of its weights.

    Args:
        name: Of the model.
        missing: Names of the weights, at least one.
    """
    return InputError(
        f"Model {name}: the checkpoint lacks {len(missing)} of the model's weights, such as {missing[0]}; they would "
        "be random."
    )


def quantisation_of(folder: Path | None) -> str | None:
    """How the weights in a folder are quantised, by its `config.json`; None where they are not."""
    if folder is None:
        return None
    try:
        config: Any = json.loads((folder / "config.json").read_text(encoding="utf-8"))
        return str(config["quantization_config"]["quant_method"])
    except (OSError, ValueError, KeyError, TypeError):  # no such file or entry: not mentioned
        return None


def quantised_refusal(name: str | Path, method: str, error: BaseException) -> str:
    """What to do about quantised weights that cannot be loaded."""
    return (
        f"Model {name}: its weights are quantised with {method} (quantization_config in config.json) and cannot be "
        f"loaded here ({reason_of(error)}). Either install what that asks for and train an adapter (--lora-rank), or "
        "give the model whose weights are not quantised."
    )
