"""Tools of a conversation, and calls of them: JSON that a chat template renders."""

import math
from collections.abc import Mapping
from typing import Any

from ngdiff.data.values import check_encodable, from_json, type_of
from ngdiff.errors import InputError


def read_tools(value: object, column: str, origin: str) -> tuple[Mapping[str, Any], ...] | None:
    """The tools of a conversation, a list of objects or its JSON text; None where there are none.

    Entries that are null are left out: tables fill with it what other rows have.

    Raises:
        InputError: another value.
    """
    return _objects(value, f"column '{column}'", origin)


def read_calls(value: object, place: str, origin: str) -> list[Mapping[str, Any]] | None:
    """The `tool_calls` of a turn, likewise."""
    found = _objects(value, place, origin)
    return None if found is None else list(found)


def _objects(value: object, place: str, origin: str) -> tuple[Mapping[str, Any], ...] | None:
    found = from_json(value)
    if found is None or found in ([], (), ""):
        return None
    if not isinstance(found, list | tuple) or not all(isinstance(item, Mapping) for item in found):
        kind = type_of(found)
        if isinstance(found, list | tuple):
            kind = f"a list with {type_of(next(item for item in found if not isinstance(item, Mapping)))}"
        raise InputError(f"{origin}: {place} must be a list of objects, or one as JSON text, found {kind}.")
    try:
        return tuple(_plain(item, place, origin) for item in found)
    except RecursionError:
        raise InputError(f"{origin}: {place} is nested too deeply.") from None


def _plain(value: Any, place: str, origin: str) -> Any:
    """The same of values that JSON has."""
    match value:
        case None | bool():
            return value
        case str():
            check_encodable(value, place, origin)
            return value
        case int() | float() if abs(value) < 1e300 and not math.isnan(value):
            return value
        case list() | tuple():
            return [_plain(item, place, origin) for item in value]
        case Mapping():
            for key in value:
                check_encodable(str(key), place, origin)
            return {str(key): _plain(item, place, origin) for key, item in value.items() if item is not None}
    raise InputError(f"{origin}: {place} holds {type_of(value)}, which is no value of JSON.")
