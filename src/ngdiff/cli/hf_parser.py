"""`HfArgumentParser` of transformers, which converts dataclass fields to options, without importing transformers.

Its source file only needs Python and yaml, and `import transformers` would take most of the time of `--help`.
"""

from importlib.util import find_spec, module_from_spec, spec_from_file_location
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import HfArgumentParser
    from transformers.hf_argparser import string_to_bool


def _read() -> Any:
    whole = find_spec("transformers")
    assert whole is not None, "ngdiff depends on it"
    spec = spec_from_file_location(
        "ngdiff.cli._hf_argparser", Path((whole.submodule_search_locations or [""])[0], "hf_argparser.py")
    )
    assert spec is not None, "it is a file of Python"
    assert spec.loader is not None, "it is a file of Python"
    module = module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


if not TYPE_CHECKING:
    _module = _read()
    HfArgumentParser, string_to_bool = _module.HfArgumentParser, _module.string_to_bool

__all__ = ["HfArgumentParser", "string_to_bool"]
