"""Invalid values of options: numbers out of range, and empty values."""

import dataclasses
from collections.abc import Iterable, Mapping
from typing import Any

from ngdiff.errors import InputError
from ngdiff.option import ACCEPTED, dashed


def check_values(kinds: Iterable[type], values: Mapping[str, Any], *, words: str | None = None) -> None:
    """Refuse invalid values before they are used.

    Args:
        kinds: The dataclasses whose fields are the options.
        values: What was given, by name.
        words: Name of the words that are no option, if there are any.

    Raises:
        InputError: a number out of the range of its field, or an empty text.
    """
    for kind in kinds:
        for field in dataclasses.fields(kind):
            value = values.get(field.name)
            if value is not None and ACCEPTED in field.metadata:
                field.metadata[ACCEPTED].check(value, dashed(field.name))
    for name, value in values.items():
        for text in value if isinstance(value, list) else [value]:
            if isinstance(text, str) and not text.strip():
                what = f"one of {name.upper()}..." if name == words else dashed(name)
                raise InputError(
                    f"{what} is empty ({text!r}); give a value" + ("" if name == words else ", or leave it out")
                )
