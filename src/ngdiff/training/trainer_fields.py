"""`TrainerFields`: the fields of `transformers.TrainingArguments`, which is not imported for them.

With that class comes torch, for which help and errors of options must not wait. So the file of the installed
transformers is read, and its class made again without methods: names, types, defaults and help of its fields.
"""

import ast
import dataclasses
from collections.abc import Iterator
from enum import Enum
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

# What its options `log_level` and `log_level_replica` accept.
LOG_LEVELS = ("detail", "debug", "info", "warning", "error", "critical", "passive")
_CLASS = "TrainingArguments"
_FILES = ("training_args.py", "trainer_utils.py", "debug_utils.py")  # its own, and those with its enumerations
_TYPES = ("bool", "dict", "float", "int", "list", "str")


def _made() -> type:
    spec = find_spec("transformers")
    assert spec is not None, "ngdiff depends on it"
    folder = Path((spec.submodule_search_locations or [""])[0])
    classes = [
        node
        for name in _FILES
        for node in ast.parse((folder / name).read_text(encoding="utf-8")).body
        if isinstance(node, ast.ClassDef)
    ]
    whole = next(node for node in classes if node.name == _CLASS)
    names: dict[str, Any] = {"__name__": "transformers.training_args", "Any": Any, "Literal": Literal}
    names |= {"dataclass": dataclasses.dataclass, "field": dataclasses.field}
    names |= {"trainer_log_levels": dict.fromkeys(LOG_LEVELS)}
    names |= {node.name: Enum(node.name, values) for node in classes if (values := dict(_values(node)))}
    # Of several, the last: that of the torch versions that ngdiff runs with.
    names |= {name: value for node in ast.walk(whole) for name, value in _constants(node) if name == "default_optim"}
    lists = [node for node in whole.body if any(name == "_VALID_DICT_FIELDS" for name, _ in _constants(node))]
    fields = [node for node in whole.body if isinstance(node, ast.AnnAssign)]
    for node in fields:
        for part in ast.walk(node.annotation):
            if isinstance(part, ast.Name) and part.id not in names and part.id not in _TYPES:
                names[part.id] = str  # an object that no word of a command line can name
    whole.body, whole.bases, whole.decorator_list = [*lists, *fields], [], []
    exec(compile(ast.Module([whole], []), "training_args.py", "exec"), names)
    return dataclasses.dataclass(repr=False, eq=False)(names[_CLASS])


def _values(node: ast.ClassDef) -> Iterator[tuple[str, Any]]:
    """The values of an enumeration."""
    if any(isinstance(base, ast.Name) and base.id in ("Enum", "ExplicitEnum") for base in node.bases):
        for line in node.body:
            yield from _constants(line)


def _constants(node: ast.AST) -> Iterator[tuple[str, Any]]:
    """Name and value of `name = a constant`."""
    if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
        try:
            yield node.targets[0].id, ast.literal_eval(node.value)
        except ValueError:
            return


if TYPE_CHECKING:
    from transformers import TrainingArguments as TrainerFields
else:
    try:
        TrainerFields = _made()
    except (OSError, LookupError, NameError, StopIteration, SyntaxError, TypeError):
        # A transformers whose file looks otherwise: the same fields, a second or two later.
        TrainerFields = import_module("transformers").TrainingArguments
