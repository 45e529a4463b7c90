"""What lies in a model folder, told from its file names alone: the checks made before anything is loaded."""

from pathlib import Path

from ngdiff.errors import InputError

# Any of these is enough for transformers to build a tokenizer from.
_TOKENIZER_FILES = (
    "tokenizer.json",
    "tokenizer.model",
    "vocab.json",
    "vocab.txt",
    "spiece.model",
    "tokenizer_config.json",
)
_PICKLE_ENDINGS = (".bin", ".pt", ".pth", ".ckpt", ".pkl")
ADAPTER_CONFIG = "adapter_config.json"


def local_folder(name: str | Path) -> Path | None:
    """The folder `name` points at, or None where `name` can only be a name on the hub.

    A hub name is `model` or `owner/model`; what exists here, or is written as a path, is taken for a path.

    Raises:
        InputError: `name` is written as a path and there is no such folder, or it is a file.
    """
    path = Path(name).expanduser()
    if path.is_dir():
        return path
    if path.exists():
        raise InputError(f"Model {name}: this is a file; give the folder it lies in.")
    text = str(name)
    written_as_path = text.startswith((".", "~", "/")) or text.endswith("/") or text.count("/") > 1
    if isinstance(name, Path) or written_as_path:
        raise InputError(f"Model {name}: no such folder.")
    return None


def is_adapter(folder: Path) -> bool:
    """Whether `folder` holds a PEFT adapter rather than a whole model."""
    return (folder / ADAPTER_CONFIG).is_file()


def has_tokenizer(folder: Path) -> bool:
    """Whether `folder` holds any file a tokenizer can be built from."""
    return any((folder / name).is_file() for name in _TOKENIZER_FILES)


def check_weights(folder: Path) -> None:
    """Refuse a folder without weights that can be read safely.

    Raises:
        InputError: there is no config, or there are no `*.safetensors`; pickled weights alone are refused
            because unpickling runs whatever code the file contains.
    """
    if not is_adapter(folder) and not (folder / "config.json").is_file():
        raise InputError(f"Model {folder}: no config.json in this folder.")
    if any(folder.glob("*.safetensors")):
        return
    pickled = sorted(file.name for file in folder.iterdir() if file.suffix in _PICKLE_ENDINGS)
    if pickled:
        raise InputError(
            f"Model {folder}: only pickled weights ({pickled[0]}), which can run code when loaded; "
            "convert them to safetensors, for example with `model.save_pretrained`."
        )
    raise InputError(f"Model {folder}: no weights in this folder; expected model.safetensors.")
