"""Models in a GGUF file, as llama.cpp has them: read by transformers, which turns quantised weights into full ones.

Such a model can be asked, measured and unlearned; what is written then is a folder with safetensors, as of any other.
"""

import warnings
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from ngdiff.errors import InputError
from ngdiff.paths import check_regular, user_path

SUFFIX = ".gguf"
_MAGIC = b"GGUF"


def gguf_file(name: str | Path) -> Path | None:
    """The GGUF file that `name` is, or the only one in a folder without `config.json`; None for all other models.

    Raises:
        InputError: several in a folder, a file that is none, or no package to read it with.
    """
    path = user_path(name)
    if path.is_dir():
        found = [] if (path / "config.json").is_file() else sorted(path.glob(f"*{SUFFIX}"))
        if len(found) > 1:
            names = ", ".join(file.name for file in found)
            raise InputError(f"Model {name}: several GGUF files ({names}); give one of them.")
        if not found:
            return None
        path = found[0]
    elif path.suffix.lower() != SUFFIX or not path.exists():
        return None
    check_regular(path, f"Model {name}")
    try:
        with path.open("rb") as file:
            magic = file.read(len(_MAGIC))
    except OSError as error:
        raise InputError(f"Model {name}: cannot be read ({error.strerror or error})") from error
    if magic != _MAGIC:
        raise InputError(f"Model {name}: {path.name} is no GGUF file (it does not begin with GGUF).")
    if find_spec("gguf") is None:
        raise InputError(f"Model {name}: a GGUF file is read with the package gguf: pip install 'ngdiff[gguf]'.")
    return path


def forget_quantisation(model: Any) -> None:
    """Make a model that was read from a GGUF file one like any other: its weights are full, and may be written.

    transformers keeps that they were packed, and then writes none of them.
    """
    # PEFT looks for a config next to an adapter's base to tell whether tokens were added; there is none here.
    warnings.filterwarnings("ignore", message=r"Could not find a config file in .*\.gguf ")
    model.hf_quantizer = None
    model.is_quantized = False
    if hasattr(model, "quantization_method"):
        del model.quantization_method
    for config in {id(one): one for one in (model.config, model.config.get_text_config(decoder=True))}.values():
        if hasattr(config, "quantization_config"):
            del config.quantization_config


def read_gguf_config(name: str | Path, file: Path) -> Any:
    """The config in a GGUF file, without its weights.

    Raises:
        InputError: transformers cannot make one of it.
    """
    from transformers import AutoConfig

    from ngdiff.modeling.load_errors import LIBRARY_ERRORS, reason_of

    try:
        return AutoConfig.from_pretrained(file.parent, gguf_file=file.name)
    except LIBRARY_ERRORS as error:
        raise InputError(f"Model {name}: the GGUF file cannot be used: {reason_of(error)}") from error
