"""The space of a search: for each option a list of values, or a range of numbers."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ngdiff.errors import InputError

_KEYS = ("from", "to", "log")


@dataclass(frozen=True)
class Choice:
    """One of several values, which have no order."""

    values: Sequence[Any]

    def samples(self) -> list[Any]:
        """Values that show whether the whole dimension can be used: all of them."""
        return list(self.values)


@dataclass(frozen=True)
class Interval:
    """A number from `low` to `high`, both included.

    Attributes:
        low, high: The ends; whole numbers where `whole` is true.
        log: Whether the logarithm is spread evenly: for what varies over powers of ten, such as a learning rate.
        whole: Whether only whole numbers are meant.
    """

    low: float
    high: float
    log: bool = False
    whole: bool = False

    def samples(self) -> list[float]:
        """As of `Choice`: both ends."""
        return [self.low, self.high]


Space = Mapping[str, Choice | Interval]


def read_space(found: Mapping[str, Any], place: str) -> dict[str, Choice | Interval]:
    """A space from the values of a YAML file.

    Args:
        found: Option -> a list of values, or a mapping `{from: LOW, to: HIGH}`, with `log: true` for a logarithmic
            range. Whole numbers at both ends mean whole numbers between them.
        place: Its source, for messages.

    Raises:
        InputError: no options, or values that are no list and no range.

    >>> read_space({"method": ["ngdiff", "gdiff"], "max_steps": {"from": 10, "to": 50}}, "search")["max_steps"]
    Interval(low=10, high=50, log=False, whole=True)
    >>> read_space({"learning_rate": {"from": "1e-5", "to": "1e-2", "log": True}}, "search")["learning_rate"]
    Interval(low=1e-05, high=0.01, log=True, whole=False)
    """
    if not found:
        raise InputError(f"{place} has no option; give some, each with a list of values or a range (from, to)")
    return {name: _dimension(value, f"{place}: {name}") for name, value in found.items()}


def _dimension(value: Any, place: str) -> Choice | Interval:
    if isinstance(value, list):
        return _choice(value, place)
    if not isinstance(value, Mapping):
        raise InputError(f"{place} is {value!r}, neither a list of values nor a range {{from: LOW, to: HIGH}}")
    for key in value:
        if key not in _KEYS:
            raise InputError(f"{place}: {key} is not known; a range has {', '.join(_KEYS)}")
    if missing := [key for key in ("from", "to") if key not in value]:
        raise InputError(f"{place} has no {missing[0]}; a range has from and to")
    log = value.get("log", False)
    if not isinstance(log, bool):
        raise InputError(f"{place}: log is {log!r}, neither true nor false")
    low, high = (_number(value[key], f"{place}: {key}") for key in ("from", "to"))
    if low >= high:
        raise InputError(f"{place}: from {low:g} to {high:g} holds no numbers; from must be below to")
    if log and low <= 0:
        raise InputError(f"{place}: from {low:g} has no logarithm; give a positive number, or leave out log")
    whole = isinstance(low, int) and isinstance(high, int)
    return Interval(low, high, log, whole)


def _choice(values: list[Any], place: str) -> Choice:
    if len(values) < 2:
        raise InputError(f"{place} has {len(values) or 'no'} value; with one it belongs to the options")
    for value in values:
        if value is not None and not isinstance(value, str | int | float):
            raise InputError(f"{place} has {value!r}, which is no plain value")
    twice = [value for i, value in enumerate(values) if str(value) in map(str, values[:i])]
    if twice:
        raise InputError(f"{place} has {twice[0]} twice")
    return Choice(tuple(values))


def _number(value: Any, place: str) -> float:
    try:
        number = value if isinstance(value, int | float) and not isinstance(value, bool) else float(str(value))
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise InputError(f"{place} is {value!r}, not a number")
    return number
