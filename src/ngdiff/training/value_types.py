"""Types of option values: from Python, an option can be given anything."""

import dataclasses
import os
from numbers import Real
from types import NoneType
from typing import Any, get_args

from ngdiff.errors import InputError
from ngdiff.option import dashed

# Texts that may also be something else; `on` and `off` of YAML are truth values.
_ALSO: dict[str, type] = {
    "idk_file": os.PathLike,
    "forget_ceiling": Real,
    "max_retain_loss": Real,
    "packing": bool,
    "speed": bool,
}
_NAMES: dict[type, tuple[str, tuple[type, ...]]] = {
    str: ("a text", (str,)),
    bool: ("True or False", (bool,)),
    int: ("a number", (Real,)),
    float: ("a number", (Real,)),
    NoneType: ("None", (NoneType,)),
}
_NAMED = ("weighting", "forget_objective", "retain_objective")  # own code is named, so that a manifest can hash it


def check_types(args: Any) -> None:
    """Refuse values of another type than an option has, which no command line could give.

    Args:
        args: Training arguments; options that transformers declares are left to it.

    Raises:
        InputError: names the option, the type found and those accepted.
    """
    declared: dict[str, Any] = {}
    for kind in type(args).__mro__:
        if kind.__module__.startswith("ngdiff."):
            declared = {**vars(kind).get("__annotations__", {}), **declared}
    for field in dataclasses.fields(args):
        wanted = [one for one in get_args(declared.get(field.name)) or (declared.get(field.name),) if one in _NAMES]
        value = getattr(args, field.name)
        accepted = [kind for one in wanted for kind in _NAMES[one][1]]
        accepted += [_ALSO[field.name]] if field.name in _ALSO else []
        if wanted and not isinstance(value, tuple(accepted)):
            names = " or ".join(dict.fromkeys(_NAMES[one][0] for one in wanted))
            how = ", such as 'my_module:my_name'" if field.name in _NAMED else ""
            found = "None" if value is None else f"a {type(value).__name__}"
            raise InputError(f"{dashed(field.name)}: {found} is not {names}{how}")
