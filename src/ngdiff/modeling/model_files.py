"""The JSON files next to a model's weights, checked before the weights: each error names its file and value."""

import json
import re
import tempfile
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from safetensors import safe_open
from transformers import AutoConfig, GenerationConfig

from ngdiff.errors import InputError, WriteError
from ngdiff.modeling.load_errors import LIBRARY_ERRORS, reason_of
from ngdiff.modeling.save import is_failed_write

# Entries of a config that count modules, each of which has weights of its own.
_COUNTS = re.compile(r"(n|num)(_\w+)?_(layers?|blocks)|n_layers?|num_layers|depth")
_SIZES = re.compile(
    r"\w*(size|dim|embd|embeddings|positions|heads|layers?|experts|width|rank|d_model|d_ff|d_kv|n_ctx|inner)"
)
_LARGEST = 2**31  # no model has a dimension of that length


def check_model_files(folder: Path, *, trust_remote_code: bool = False) -> None:
    """Refuse a model folder whose `config.json` or `generation_config.json` cannot be used.

    Raises:
        InputError: a file that holds no JSON object or a value that transformers cannot use, sizes that no weights in
            the folder could fill, or an architecture that is no causal language model's.
    """
    content = read_object(folder, "config.json")
    _check_sizes(folder, content, most=_tensors_in(folder))
    _check_pad_token(folder, content)
    try:
        AutoConfig.from_pretrained(folder, trust_remote_code=trust_remote_code)
    except LIBRARY_ERRORS as error:
        if "trust_remote_code" in str(error):
            return  # `load_model` says so
        raise InputError(f"Model {folder}: config.json cannot be used: {reason_of(error)}") from error
    if (folder / "generation_config.json").is_file():
        read_object(folder, "generation_config.json")
        try:
            GenerationConfig.from_pretrained(folder)
        except LIBRARY_ERRORS as error:
            raise InputError(f"Model {folder}: generation_config.json cannot be used: {reason_of(error)}") from error


def read_object(folder: Path, name: str) -> dict[str, Any]:
    """The JSON object in a file of a model folder.

    Raises:
        InputError: the file cannot be read, or holds something else.
    """
    try:
        content = json.loads((folder / name).read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(f"Model {folder}: {name} is not JSON: {reason_of(error)}") from error
    if not isinstance(content, dict):
        raise InputError(f"Model {folder}: {name} holds no JSON object but a {type(content).__name__}")
    return content


def check_savable(model: Any, companion: Any) -> None:
    """Write the files next to the weights to a temporary folder, so that a run does not fail when it saves its result.

    Args:
        model: A transformers model, possibly under an adapter.
        companion: Its tokenizer.

    Raises:
        InputError: transformers refuses to write one of the files.
    """
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    parts = {"config.json": inner.config, "tokenizer files": companion}
    if inner.can_generate():
        parts["generation_config.json"] = inner.generation_config
    for what, part in parts.items():
        with tempfile.TemporaryDirectory() as folder:
            try:
                part.save_pretrained(folder)
            except Exception as error:
                if is_failed_write(error):  # of a disk that is full, where temporary files are
                    raise WriteError(Path(folder), error, what=f"the model's {what}, for a trial,") from error
                if not isinstance(error, LIBRARY_ERRORS):
                    raise
                raise InputError(
                    f"The model could not be saved after the run: transformers does not write its {what}: "
                    f"{reason_of(error)}"
                ) from error


def _check_sizes(folder: Path, content: Mapping[str, Any], *, most: int) -> None:
    for name, value in _numbers(content):
        entry = name.rpartition(".")[2]
        if _COUNTS.fullmatch(entry) and value > most:
            raise InputError(
                f"Model {folder}: config.json: {name} is {value:g}, and the folder holds {most} weight tensors: "
                "too few for one of each layer"
            )
        if _SIZES.fullmatch(entry) and abs(value) >= _LARGEST:
            raise InputError(f"Model {folder}: config.json: {name} is {value:g}, which is no size of a model")


def _check_pad_token(folder: Path, content: Mapping[str, Any]) -> None:
    for part in (content, *(value for value in content.values() if isinstance(value, Mapping))):
        pad, words = part.get("pad_token_id"), part.get("vocab_size")
        if isinstance(pad, int) and isinstance(words, int) and pad >= words:
            raise InputError(
                f"Model {folder}: config.json: pad_token_id is {pad}, and a vocab_size of {words} has tokens 0 to "
                f"{words - 1}; set pad_token_id to null or to one of them"
            )


def _numbers(content: Mapping[str, Any], place: str = "") -> Iterator[tuple[str, int | float]]:
    for name, value in content.items():
        if isinstance(value, Mapping):
            yield from _numbers(value, f"{place}{name}.")
        elif isinstance(value, int | float) and not isinstance(value, bool):
            yield f"{place}{name}", value


def _tensors_in(folder: Path) -> int:
    """Number of weight tensors in a folder.

    Raises:
        InputError: a file that cannot be read.
    """
    count = 0
    for file in folder.glob("*.safetensors"):
        try:
            with safe_open(file, framework="pt") as tensors:
                count += len(tensors.keys())
        except LIBRARY_ERRORS as error:
            raise InputError(f"Model {folder}: {file.name} cannot be read: {reason_of(error)}") from error
    return count


def check_tokenizer_files(folder: Path) -> None:
    """Refuse a folder whose tokenizer files hold no JSON objects.

    Raises:
        InputError: names the file.
    """
    for name in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "vocab.json"):
        if (folder / name).is_file():
            read_object(folder, name)
