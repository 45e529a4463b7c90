"""Resolve a specification such as `gdiff(c=0.9)` or `my_module:my_function` to a weighting with its parameters."""

import difflib
import inspect
from dataclasses import replace
from typing import Any

from ngdiff.core.gramian import Gramian
from ngdiff.errors import InputError
from ngdiff.imports import described, import_object, place_of
from ngdiff.spec import Spec, parse_spec
from ngdiff.weighting.base import Losses, Weighting, weigh
from ngdiff.weighting.parameters import check_parameters, own_parameters, type_hints
from ngdiff.weighting.table import WEIGHTINGS
from ngdiff.weighting.torchjd import PREFIX, TORCHJD, torchjd_weighting

_FORMS = "torchjd:NAME for one of TorchJD's, my_module:my_function for your own"


def resolve_weighting(text: str, *, option: str = "--weighting", **parameters: Any) -> Weighting:
    """The weighting that `text` specifies.

    It is called once, on two orthogonal gradients of length one, so that a value out of range, or a function that does
    not return two numbers, is found before the first step.

    Args:
        text: `NAME` or `NAME(key=value, ...)`, where `NAME` is one of `WEIGHTINGS`, `torchjd:NAME`, or
            `my_module:my_function`: a function `(losses, gramian, *, ...) -> (w_r, w_f)` or a `Weighting`. A function
            is assumed to read the dot product; a `Weighting` says whether it does.
        option: The option to which `text` was given, at the start of messages.
        parameters: Further parameters, given by other options (`--c 0.9`).

    Raises:
        InputError: an unknown weighting or parameter, a value of another type or out of range, a parameter given twice,
            a package that is not installed, or a function that does not return two numbers.

    Example:
        >>> resolve_weighting("gdiff", c=0.75).parameters
        {'c': 0.75}
        >>> str(resolve_weighting("gdiff(c=0.9)"))
        'gdiff(c=0.9)'
    """
    spec = parse_spec(text, option)
    where = f"{option} {spec.name}"
    twice = sorted(set(spec.arguments) & set(parameters))
    if twice:
        raise InputError(f"{where}: {', '.join(twice)} is given twice, in the brackets and on its own")
    spec = Spec(spec.name, {**spec.arguments, **parameters})
    if spec.name.startswith(PREFIX):  # its parameters are those of the library's constructor
        weighting = torchjd_weighting(spec, where)
        _try(weighting, where)
        return weighting
    weighting = _named(spec, where, option)
    given = check_parameters(own_parameters(weighting.function), type_hints(weighting.function), spec.arguments, where)
    weighting = replace(weighting, name=str(spec), bound={**weighting.bound, **given})
    _try(weighting, where)
    return weighting


def _named(spec: Spec, where: str, option: str) -> Weighting:
    if spec.name in WEIGHTINGS:
        return WEIGHTINGS[spec.name]
    if ":" in spec.name:
        return _own(import_object(spec.name, option), spec.name, where)
    close = difflib.get_close_matches(spec.name.lower(), [*WEIGHTINGS, *TORCHJD], n=1)
    if close and close[0] not in WEIGHTINGS:
        close = [PREFIX + close[0]]
    hint = f"Did you mean {close[0]}? " if close else ""
    raise InputError(f"{where}: no such weighting. {hint}There are {', '.join(WEIGHTINGS)}; {_FORMS}")


def _own(found: Any, name: str, where: str) -> Weighting:
    if isinstance(found, Weighting):
        return found
    if not callable(found):
        kind = type(found).__name__
        raise InputError(f"{where}: is of type {kind}, neither a function nor an ngdiff.weighting.Weighting")
    try:
        inspect.signature(found).bind_partial(Losses(1.0, -1.0), Gramian(1.0, 0.0, 1.0))
    except TypeError as error:
        raise InputError(f"{where}: cannot be called as f(losses, gramian): {error}") from error
    lines = (inspect.getdoc(found) or "").splitlines()
    return Weighting(found, lines[0] if lines else "your own", name, uses_dot=True)


def _try(weighting: Weighting, where: str) -> None:
    try:
        weigh(weighting, Losses(1.0, -1.0), Gramian(1.0, 0.0, 1.0), step=1)
    except ValueError as error:
        place = place_of(error)
        raise InputError(f"{place}: {described(error)} (in {where})" if place else f"{where}: {error}") from error
