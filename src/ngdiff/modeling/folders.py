"""What lies in a model folder, told from its file names alone: the checks made before anything is loaded."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from ngdiff.errors import InputError
from ngdiff.file_names import ADAPTER_CONFIG, MERGED_BASE
from ngdiff.modeling.gguf_files import gguf_file
from ngdiff.modeling.shapes import refuse_shape
from ngdiff.paths import full_path, user_path

# Any of these is enough for transformers to build a tokenizer from.
_TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer.model",
    "vocab.json",
    "vocab.txt",
    "spiece.model",
    "tokenizer_config.json",
)
_BASE_NAME = "base_model_name_or_path"  # in adapter_config.json
_PICKLE_ENDINGS = (".bin", ".pt", ".pth", ".ckpt", ".pkl")


def local_folder(name: str | Path, option: str = "Model") -> Path | None:
    """The folder `name` points at, or None where `name` can only be a name on the hub.

    A hub name is `model` or `owner/model`; what exists here, or is written as a path, is taken for a path.

    Args:
        name: As typed.
        option: What messages call it.

    Raises:
        InputError: `name` is written as a path and there is no such folder, or it is a file.
    """
    path = user_path(name)
    if path.is_dir():
        return path
    if path.exists():
        raise InputError(f"{option} {name}: this is a file; give the folder it lies in.")
    text = str(name)
    written_as_path = text.startswith((".", "~", "/")) or text.endswith("/") or text.count("/") > 1
    if isinstance(name, Path) or written_as_path:
        raise InputError(f"{option} {name}: no such folder.")
    return None


def is_adapter(folder: Path) -> bool:
    """Whether `folder` holds a PEFT adapter rather than a whole model."""
    return (folder / ADAPTER_CONFIG).is_file()


def adapter_base(name: str | Path) -> str | Path | None:
    """The base model of the adapter in folder `name`; None where there is no adapter in a folder of that name.

    The base is a folder as `adapter_config.json` names it, seen from the current folder or from the adapter's own, else
    the name as it stands there: then it can only be one on the hub. One called `merged_base` is that beside the
    adapter, where there is one, wherever the adapter was moved.

    Raises:
        InputError: `adapter_config.json` cannot be read, names no base, names two folders, or names the adapter itself;
            there is no whole model below the adapters.
    """
    folder = user_path(name)
    base = _named_base(folder)
    passed, below = [folder], base
    while isinstance(below, Path):
        passed.append(below)
        again = [place.resolve() for place in passed].index(below.resolve())
        if again < len(passed) - 1:
            circle = " -> ".join(str(place) for place in passed[again:])
            raise InputError(
                f"Model {folder}: adapters name each other as the base model, so there is no whole model below them: "
                f"{circle} ({_BASE_NAME} in {ADAPTER_CONFIG})"
            )
        below = _named_base(below)
    return base


def base_name(folder: Path) -> str:
    """The base model of the adapter in `folder`, as its `adapter_config.json` names it.

    Raises:
        InputError: the file cannot be read, or names none.
    """
    try:
        content = json.loads((folder / ADAPTER_CONFIG).read_text(encoding="utf-8"))
    except ValueError as error:
        raise InputError(f"Model {folder}: {ADAPTER_CONFIG} is not JSON: {error}") from error
    base = content.get(_BASE_NAME) if isinstance(content, dict) else None
    if not base:
        raise InputError(f"Model {folder}: {ADAPTER_CONFIG} does not name its base model ({_BASE_NAME}).")
    return str(base)


def _named_base(folder: Path) -> str | Path | None:
    """The base of one adapter; None where `folder` holds none."""
    if not is_adapter(folder):
        return None
    base = base_name(folder)
    places = [user_path(base), folder / base]
    if places[0].name == MERGED_BASE:
        places.insert(0, folder / MERGED_BASE)
    there = [path for path in places if path.is_dir()]
    if not there:
        return base
    found = there[0]
    if found.resolve() == folder.resolve():
        raise InputError(f"Model {folder}: {ADAPTER_CONFIG} names this very folder as the base model.")
    if places[0].name != MERGED_BASE and len({path.resolve() for path in there}) > 1:
        raise InputError(
            f"Model {folder}: {ADAPTER_CONFIG} names its base model by a relative path, {base}, and that is "
            f"{full_path(found)}, seen from the current folder, and {full_path(there[1])}, seen from the adapter's; "
            f"give the full path of the right one ({_BASE_NAME})"
        )
    return found


def has_tokenizer(folder: Path) -> bool:
    """Whether `folder` holds any file a tokenizer can be built from."""
    return any((folder / name).is_file() for name in _TOKENIZER_FILES)


@contextmanager
def of_adapter(folder: Path, base: str | Path) -> Iterator[None]:
    """Within, errors about the base model name the adapter, too: that is what the user gave."""
    try:
        yield
    except InputError as error:
        raise InputError(f"Model {folder}: the adapter's base model {base} cannot be used. {error}") from error


def check_model(name: str | Path, option: str = "Model") -> None:
    """Refuse a language model that lacks its weights or its tokenizer, as far as names of files tell.

    Args:
        name: Folder, GGUF file or hub name. Of an adapter its base is checked, too.
        option: What messages call it.

    Raises:
        InputError: no such folder, one without weights or tokenizer, or the name of a shape.
    """
    check_tokenizer(name, option)
    _check_weights_of(name, option)


def check_tokenizer(name: str | Path, option: str = "Model") -> None:
    """Refuse a folder that holds no tokenizer; of an adapter, its base may have it.

    Args:
        name: Folder, GGUF file or hub name.
        option: What messages call it.

    Raises:
        InputError: no such folder, one without a tokenizer, or the name of a shape.
    """
    if gguf_file(name) is not None:
        return
    folder = local_folder(name, option)
    if folder is None:
        refuse_shape(str(name))
    elif not has_tokenizer(folder):
        base = adapter_base(folder)
        if base is None:
            what = "expected tokenizer.json beside config.json"
            if (folder / "preprocessor_config.json").is_file():
                what = "this is a model of images; unlearn, finetune and evaluate take it with --task image"
            raise InputError(f"{option} {name}: no tokenizer in this folder; {what}.")
        with of_adapter(folder, base):
            check_tokenizer(base)


def _check_weights_of(name: str | Path, option: str) -> None:
    folder = None if gguf_file(name) is not None else local_folder(name, option)
    if folder is None:
        return
    check_weights(folder, option)
    base = adapter_base(folder)
    if base is not None:
        with of_adapter(folder, base):
            _check_weights_of(base, "Model")


def check_weights(folder: Path, option: str = "Model") -> None:
    """Refuse a folder without weights that can be read safely.

    Args:
        folder: Of a model or an adapter.
        option: What messages call it.

    Raises:
        InputError: there is no config, or there are no `*.safetensors`; pickled weights alone are refused
            because unpickling runs whatever code the file contains.
    """
    if not is_adapter(folder) and not (folder / "config.json").is_file():
        raise InputError(f"{option} {folder}: no config.json in this folder.")
    if any(folder.glob("*.safetensors")):
        return
    pickled = sorted(file.name for file in folder.iterdir() if file.suffix in _PICKLE_ENDINGS)
    if pickled:
        raise InputError(
            f"{option} {folder}: only pickled weights ({pickled[0]}), which can run code when loaded; "
            "convert them to safetensors, for example with `model.save_pretrained`."
        )
    raise InputError(f"{option} {folder}: no weights in this folder; expected model.safetensors.")
