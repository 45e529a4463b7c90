"""Resolve a specification such as `npo`, `npo(beta=0.2)` or `my_module:MyObjective` to an objective."""

import difflib
import inspect
from collections.abc import Mapping
from typing import Any

from ngdiff.errors import InputError
from ngdiff.imports import described, import_object, place_of
from ngdiff.objectives.base import Objective
from ngdiff.spec import parse_spec


def resolve_objective(text: str, table: Mapping[str, Objective], option: str) -> Objective:
    """The objective that `text` specifies, with its parameters bound and validated.

    Args:
        text: A name of `table`, or `MODULE:NAME` of a user's module: an `Objective`, a function `answers -> sum over
            the answer tokens`, or a class whose instances are such functions and may have `unit` and `needs`.
            Parameters in brackets may follow.
        table: `FORGET_OBJECTIVES` or `RETAIN_OBJECTIVES`.
        option: Name of the option, for messages.

    Raises:
        InputError: an unknown name or parameter, or an object that is not an objective.
    """
    spec = parse_spec(text, option)
    if ":" in spec.name:
        found = import_object(spec.name, option)
        if inspect.isclass(found):
            return _from_class(found, spec.arguments, f"{option} {spec}")
        objective = found if isinstance(found, Objective) else _from_function(found, f"{option} {spec.name}")
        return objective.with_parameters(spec.arguments, f"{option} {spec.name}")
    if spec.name not in table:
        near = difflib.get_close_matches(spec.name, table, n=1)
        hint = f"; did you mean {near[0]}?" if near else ""
        raise InputError(f"{option} {spec.name} is not known{hint}; one of {', '.join(table)}, or MODULE:NAME")
    return table[spec.name].with_parameters(spec.arguments, f"{option} {spec.name}")


def _from_function(function: Any, where: str) -> Objective:
    if not callable(function):
        raise InputError(f"{where} is a {type(function).__name__}; an objective is called with the answers of a batch")
    first = next(iter(inspect.signature(function).parameters.values()), None)
    if first is None or first.kind is first.KEYWORD_ONLY:
        raise InputError(f"{where} takes no argument; an objective is called with the answers of a batch")
    name = getattr(function, "__name__", type(function).__name__)
    return Objective(
        function,
        unit=getattr(function, "unit", "token"),
        formula=name,
        source="your own",
        needs=frozenset(getattr(function, "needs", ())),
    )


def _from_class(kind: type, arguments: Mapping[str, Any], where: str) -> Objective:
    try:
        return _from_function(kind(**arguments), where)
    except TypeError as error:
        place = place_of(error)
        said = f"{where}: {kind.__name__} cannot be made with these parameters: {error}"
        raise InputError(f"{place}: {described(error)} (in {where})" if place else said) from error
