"""Options as fields of dataclasses, with help texts and checks."""

from collections.abc import Collection, Sequence
from dataclasses import field
from typing import Any

from ngdiff.errors import InputError
from ngdiff.ranges import Range

ACCEPTED = "accepted"  # in the metadata of a field: the `Range` of its numbers


def option(
    default: Any = None,
    help: str = "",
    value: str | None = None,
    *,
    aliases: Sequence[str] = (),
    accepted: Range | None = None,
) -> Any:
    """A field of a dataclass of options.

    Args:
        default: Its default; None also for an option that the parser requires.
        help: One line.
        value: Placeholder in the help, such as FILE.
        aliases: Other names on the command line.
        accepted: For a number, its range.
    """
    metadata: dict[str, Any] = {"help": help}
    if value is not None:
        metadata["metavar"] = value
    if aliases:
        metadata["aliases"] = list(aliases)
    if accepted is not None:
        metadata[ACCEPTED] = accepted
    return field(default=default, metadata=metadata)


def dashed(name: str) -> str:
    """The name of an option as it is typed.

    >>> dashed("learning_rate")
    '--learning-rate'
    """
    return "--" + name.replace("_", "-")


def check_choice(option: str, value: str, choices: Collection[str]) -> None:
    """Refuse a value that is not one of `choices`.

    Raises:
        InputError: names option, value and choices.
    """
    if value not in choices:
        raise InputError(f"{option} {value} is not known; one of {', '.join(choices)}")
