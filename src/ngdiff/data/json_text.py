"""JSON as data files hold it: what is no part of a row may not be in the way of reading it.

A number that Python would refuse, and a key that occurs twice, are values that no text column takes; in a column that
is not used they do no harm.
"""

import json
import sys
from typing import Any


class RepeatedKey:
    """In place of the values of a key that occurs more than once in an object: which one was meant is not known."""


class JSONError(ValueError):
    """What is wrong, and where: `position`, a place in the text, or None where that is not known."""

    def __init__(self, message: str, position: int | None = None) -> None:
        super().__init__(message)
        self.position = position


def decode(text: str, position: int = 0) -> tuple[Any, int]:
    """The JSON value that begins at `position`, and the place behind it.

    Raises:
        JSONError: no JSON, or nested too deeply.

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
    """The JSON value that the whole text is, white space around it aside.

    Raises:
        JSONError: no JSON, nested too deeply, or more text behind the value.
    """
    value, end = decode(text, skip_space(text, 0))
    end = skip_space(text, end)
    if end != len(text):
        raise JSONError("Extra data", end)
    return value


def skip_space(text: str, position: int) -> int:
    """The first place from `position` on that holds no white space of JSON."""
    while position < len(text) and text[position] in " \t\r\n":
        position += 1
    return position


def _whole_number(digits: str) -> int | float:
    """More digits than Python turns into an integer are read as a float, in the end infinity: no column takes it."""
    return int(digits) if len(digits) <= sys.int_info.str_digits_check_threshold else float(digits)


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        seen: set[str] = set()
        for key, _ in pairs:
            if key in seen:
                found[key] = RepeatedKey()
            seen.add(key)
    return found


_DECODER = json.JSONDecoder(parse_int=_whole_number, object_pairs_hook=_object)
