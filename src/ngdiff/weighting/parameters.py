"""Parameters of a weighting: their names, and validation of given values."""

import inspect
import math
import types
from collections.abc import Callable, Mapping
from typing import Any, Union, get_args, get_origin, get_type_hints

from ngdiff.errors import InputError

# Arguments that `weigh` supplies; all others after losses and Gramian are parameters.
CONTEXT = ("step", "seed", "state")

_NAMES: dict[Any, str] = {
    float: "a finite number",
    int: "a whole number",
    bool: "True or False",
    str: "a string in quotes",
    type(None): "None",
}


def own_parameters(function: Callable[..., Any]) -> dict[str, inspect.Parameter]:
    """The keyword parameters of a function, without losses, Gramian and the arguments that `weigh` supplies."""
    named = list(inspect.signature(function).parameters.values())[2:]
    return {p.name: p for p in named if p.kind in (p.KEYWORD_ONLY, p.POSITIONAL_OR_KEYWORD) and p.name not in CONTEXT}


def check_parameters(
    accepted: Mapping[str, inspect.Parameter], hints: Mapping[str, Any], given: Mapping[str, Any], where: str
) -> dict[str, Any]:
    """The given values, validated, with integers converted to floats where floats are expected.

    Args:
        accepted: Parameters by name.
        hints: Types by name; values without a type are not checked.
        given: Values by name.
        where: The start of messages.

    Raises:
        InputError: an unknown name, a value of another type, a number that is not finite, or a missing value for a
            parameter without a default.
    """
    unknown = sorted(set(given) - set(accepted))
    if unknown:
        raise InputError(f"{where}: takes no {', '.join(unknown)}; its parameters are: {_listed(accepted)}")
    missing = [name for name, p in accepted.items() if p.default is p.empty and name not in given]
    if missing:
        raise InputError(
            f"{where}: needs {', '.join(missing)}, which has no default: write ({missing[0]}=...) after the name"
        )
    return {name: _fitted(value, hints.get(name), f"{where}: {name} =") for name, value in given.items()}


def type_hints(function: Callable[..., Any]) -> dict[str, Any]:
    """Annotations of a function or of a callable object; empty if one of them cannot be resolved."""
    try:
        return get_type_hints(function if inspect.isroutine(function) else type(function).__call__)
    except (NameError, TypeError):
        return {}


def _listed(accepted: Mapping[str, inspect.Parameter]) -> str:
    return ", ".join(n if p.default is p.empty else f"{n} (default {p.default})" for n, p in accepted.items()) or "none"


def _fitted(value: Any, hint: Any, where: str) -> Any:
    choices = get_args(hint) if get_origin(hint) in (Union, types.UnionType) else (hint,)
    if not set(choices) <= set(_NAMES):
        return value  # not a plain type: the function itself checks it
    for kind in choices:
        if kind is float and type(value) in (int, float) and math.isfinite(value):
            return float(value)
        if kind is not float and type(value) is kind:
            return value
    raise InputError(f"{where} {value!r} is not {' or '.join(_NAMES[kind] for kind in choices)}")
