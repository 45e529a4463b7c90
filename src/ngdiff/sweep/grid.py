"""A grid of options: its axes, its points in order, and their names."""

import hashlib
import itertools
import re
from collections.abc import Hashable, Mapping, Sequence
from typing import Any

from ngdiff.errors import InputError

# Option -> its values; option -> its value at one point of the grid.
Axes = Mapping[str, Sequence[Any]]
Point = Mapping[str, Any]

_LONGEST_VALUE, _LONGEST_NAME = 40, 160  # characters; a file system takes 255 bytes
_BRACKETS = {"(": 1, "[": 1, "{": 1, ")": -1, "]": -1, "}": -1}


def read_axes(words: Sequence[str]) -> dict[str, list[str | None]]:
    """Axes from arguments `OPTION=VALUE,VALUE,...`; commas within brackets do not separate values.

    The value `null` is None, as in a YAML file: the option is not given.

    Raises:
        InputError: another form, or an option that is given twice.

    >>> read_axes(["method=ngdiff,simnpo(beta=3,delta=1)", "seed=0,1"])
    {'method': ['ngdiff', 'simnpo(beta=3,delta=1)'], 'seed': ['0', '1']}
    >>> read_axes(["base_model=base,null"])
    {'base_model': ['base', None]}
    """
    axes: dict[str, list[str | None]] = {}
    for word in words:
        option, equals, text = word.partition("=")
        name = option.strip().removeprefix("--").replace("-", "_")
        if not equals or not name:
            raise InputError(f"--grid {word}: give an option and its values, OPTION=VALUE,VALUE,...")
        if name in axes:
            raise InputError(f"--grid: {option} is given twice; give all its values at once")
        axes[name] = [None if value == "null" else value for value in _split(text)] if text.strip() else []
    return axes


def check_axes(axes: Axes, place: str) -> None:
    """Refuse a grid without points, or with a point that occurs twice.

    Args:
        axes: The grid.
        place: Its source, for messages.

    Raises:
        InputError: no axes, or an axis without values, with an empty value, or with a repeated one.
    """
    if not axes:
        raise InputError(f"{place} has no option; give some, each with its values, such as seed with 0, 1, 2")
    for option, values in axes.items():
        if isinstance(values, str) or not isinstance(values, Sequence):
            raise InputError(f"{place}: {option} has {values!r}, not a list of values")
        if not values:
            raise InputError(f"{place}: {option} has no values")
        if any(value == "" for value in values):
            raise InputError(f"{place}: {option} has an empty value among {', '.join(map(str, values))}")
        twice = [value for i, value in enumerate(values) if _same(value) in map(_same, values[:i])]
        if twice:
            raise InputError(f"{place}: {option} has {twice[0]} twice")


def points_of(axes: Axes) -> list[dict[str, Any]]:
    """All points of the grid; the last axis changes fastest.

    >>> points_of({"method": ["ngdiff", "gd"], "seed": [0, 1]})[1]
    {'method': 'ngdiff', 'seed': 1}
    """
    return [dict(zip(axes, values, strict=True)) for values in itertools.product(*axes.values())]


def name_of(point: Point, axes: Axes) -> str:
    """A unique name for a point of the grid, which is also the name of its folder.

    A path is represented by its last component. Special characters of shells and file systems are replaced by `-`. If
    two values of an axis become equal, or a value is long, six digits of its SHA-256 are added.

    >>> axes = {"method": ["npo+ngdiff", "simnpo(beta=3)"], "forget": ["data/a.jsonl"], "learning_rate": [1e-05]}
    >>> [name_of(point, axes) for point in points_of(axes)][1]
    'method=simnpo-beta=3,forget=a.jsonl,learning-rate=1e-05'
    """
    parts = [f"{option.replace('_', '-')}={_shown(value, axes[option])}" for option, value in point.items()]
    name = ",".join(parts)
    return name if len(name) <= _LONGEST_NAME else f"{name[:_LONGEST_NAME]}~{_digits(name)}"


def axes_that_matter(axes: Axes, outcomes: Sequence[Hashable]) -> list[str]:
    """The options on which outcomes depend: those that change the outcome at some point if they alone are changed.

    Args:
        axes: The grid.
        outcomes: The outcome at each of `points_of(axes)`.

    >>> axes_that_matter({"method": ["a", "b"], "seed": [0, 1]}, ["x", "y", "x", "y"])
    ['seed']
    """
    points = points_of(axes)
    found = []
    for option in axes:
        seen: dict[Hashable, set[Hashable]] = {}
        for point, outcome in zip(points, outcomes, strict=True):
            others = tuple(_same(value) for name, value in point.items() if name != option)
            seen.setdefault(others, set()).add(outcome)
        if any(len(own) > 1 for own in seen.values()):
            found.append(option)
    return found


def _split(text: str) -> list[str]:
    values, depth = [""], 0
    for letter in text:
        depth = max(0, depth + _BRACKETS.get(letter, 0))
        if letter == "," and not depth:
            values.append("")
        else:
            values[-1] += letter
    return [value.strip() for value in values]


def _shown(value: Any, others: Sequence[Any]) -> str:
    plain = _plain(value)
    alike = any(_plain(other) == plain for other in others if _same(other) != _same(value))
    if len(plain) > _LONGEST_VALUE or alike or not plain:
        return f"{plain[:_LONGEST_VALUE]}~{_digits(_same(value))}"
    return plain


def _plain(value: Any) -> str:
    """A value without special characters of shells and file systems."""
    if value is None:
        return "none"
    if isinstance(value, list | tuple):
        return "+".join(map(_plain, value))
    text = str(value).lower() if isinstance(value, bool) else str(value)
    plain = re.sub(r"[^\w.+=-]+", "-", text.rstrip("/").rsplit("/", 1)[-1]).rstrip("-")
    return plain if text.startswith("-") else plain.lstrip("-")


def _same(value: Any) -> str:
    """A text that is equal only for equal values: 1 differs from true, but equals "1" as on a command line."""
    return str(value) if isinstance(value, str | int | float) and not isinstance(value, bool) else repr(value)


def _digits(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:6]
