"""Tolerant JSON parsing for data files: faults in unused columns do not prevent reading.

Numbers that Python would refuse, and repeated keys, become values that no text column accepts; in unused columns they
are harmless.
"""

import json
import sys
from typing import Any


class RepeatedKey:
    """Placeholder for the value of a key that occurs more than once in an object, and is therefore ambiguous."""


class JSONError(ValueError):
    """A JSON error; `position` is its place in the text, or None if unknown."""

    def __init__(self, message: str, position: int | None = None) -> None:
        super().__init__(message)
        self.position = position


def decode(text: str, position: int = 0) -> tuple[Any, int]:
    """The JSON value that begins at `position`, and the position after it.

    Raises:
        JSONError: not JSON, or nested too deeply.

    >>> decode('{"a": 1, "b": 2, "b": 3}')[0]["b"].__class__.__name__
    'RepeatedKey'
    """
    try:
        return _DECODER.raw_decode(text, position)
    except json.JSONDecodeError as error:
        raise JSONError(error.msg, error.pos) from None
    except RecursionError:
        raise JSONError("nested too deeply") from None


def decode_all(text: str) -> Any:
    """The JSON value of the whole text, apart from surrounding white space.

    Raises:
        JSONError: not JSON, nested too deeply, or text after the value.
    """
    value, end = decode(text, skip_space(text, 0))
    end = skip_space(text, end)
    if end != len(text):
        raise JSONError("Extra data", end)
    return value


def skip_space(text: str, position: int) -> int:
    """The first position from `position` on that is not JSON white space."""
    while position < len(text) and text[position] in " \t\r\n":
        position += 1
    return position


def _whole_number(digits: str) -> int | float:
    """An integer; one with too many digits for Python becomes a float, usually infinity, which no column accepts."""
    return int(digits) if len(digits) <= sys.int_info.str_digits_check_threshold else float(digits)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = {sys.intern(key): value for key, value in pairs}  # the rows of a file share their keys
    if len(found) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                found[key] = RepeatedKey()
            seen.add(key)
    return found


_DECODER = json.JSONDecoder(parse_int=_whole_number, object_pairs_hook=_object)
