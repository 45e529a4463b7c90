"""Values of options that mean nothing: numbers out of range, empty values, and `none` in place of a file or a model."""

import dataclasses
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from ngdiff.errors import InputError
from ngdiff.option import ACCEPTED, dashed

NONE = "none"
# What help calls the value of an option that names a file, a folder or a model.
_PLACES = ("FILE", "DIR", "DIR_OR_NAME", "DATA", "MODEL", "RUN", "AUDIT")


def leave_out_none(
    kinds: Iterable[type], values: dict[str, Any], command: str, *, needed: Collection[str], kept: Collection[str]
) -> None:
    """Take `none` in place of a file, a folder or a model for an option that is not given.

    Args:
        kinds: The dataclasses whose fields are the options.
        values: What was given, by name; changed.
        command: For the message.
        needed: Names of options that cannot be left out.
        kept: Names of those that mean something else if they are left out: they stay, as `none`.

    Raises:
        InputError: one that is needed, or that has a place by default.
    """
    fields = {field.name: field for kind in kinds for field in dataclasses.fields(kind)}
    for name, value in list(values.items()):
        field, given = fields.get(name), value if isinstance(value, list) else [value]
        if (
            field is None
            or field.metadata.get("metavar") not in _PLACES
            or [str(one).lower() for one in given] != [NONE]
        ):
            continue
        if name in kept:
            values[name] = NONE
        elif name in needed or isinstance(field.default, str):
            raise InputError(
                f"{dashed(name)} {given[0]}: ngdiff {command} needs one; give ./{given[0]} if that is its name"
            )
        else:
            del values[name]


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
