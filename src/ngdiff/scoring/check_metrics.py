"""Validation of the contents of a `metrics.json`."""

from collections.abc import Mapping
from typing import Any

from ngdiff.errors import InputError
from ngdiff.scoring.quantities import DISTANCES, is_set

_NUMBERS = (
    "verbmem",
    "utility",
    "truth_ratio",
    "model_utility",
    "forget_quality",
    "forget_quality_statistic",
    "privleak",
)


def check_metrics(metrics: Mapping[str, Any], place: str) -> None:
    """Refuse values that are not numbers, and entries of another type than `ngdiff score` writes.

    Of unknown entries, only names and numbers are checked. Of a file with several evaluations, such as that of
    `ngdiff demo`, each is checked.

    Args:
        place: The file, for messages.

    Raises:
        InputError: with the file, the entry, the value found and the values accepted.
    """
    _check_leaves(metrics, place, "")
    _check_one(metrics, place)
    for name, value in metrics.items():
        if isinstance(value, Mapping) and any(map(is_set, value.values())):
            _check_one(value, f"{place}, {name}")


def _check_leaves(value: Any, place: str, path: str) -> None:
    if isinstance(value, Mapping):
        for name, entry in value.items():
            if not name.isprintable():
                raise InputError(f"{place}: the name {name!a} has characters that cannot be printed")
            _check_leaves(entry, place, f"{path}.{name}" if path else name)
    elif isinstance(value, list):
        for index, entry in enumerate(value):
            _check_leaves(entry, place, f"{path}[{index}]")
    elif _is_number(value) and not abs(value) < 1e300:  # an integer may be too large for a float
        raise InputError(f"{place}: {path} is {_shown(value)}; numbers are smaller than 1e300 here")


def _check_one(metrics: Mapping[str, Any], place: str) -> None:
    for name in _NUMBERS:
        _check_number(metrics.get(name), place, name)
    for name, numbers in metrics.items():
        if is_set(numbers):
            for key, value in numbers.items():
                _check_number(value, place, f"{name}.{key}")
            if not isinstance(numbers["n"], int) or numbers["n"] < 0:
                raise InputError(f"{place}: {name}.n is {_shown(numbers['n'])}; it must be a whole number, 0 or more")
    membership = _mapping(metrics.get("membership"), place, "membership")
    for score in membership:
        own = _mapping(membership[score], place, f"membership.{score}")
        _check_number(own.get("auc"), place, f"membership.{score}.auc")
        _check_interval(own.get("interval"), place, f"membership.{score}.interval")
    for key in DISTANCES:
        found = _mapping(metrics.get(key), place, key)
        _check_number(found.get("value"), place, f"{key}.value")
        parts = _mapping(found.get("parts"), place, f"{key}.parts")
        for name in parts:
            own = _mapping(parts[name], place, f"{key}.parts.{name}")
            _check_number(own.get("value"), place, f"{key}.parts.{name}.value")
        _mapping(found.get("left_out"), place, f"{key}.left_out")
    for key in ("collateral", "aggregates"):
        for name, value in _mapping(metrics.get(key), place, key).items():
            _check_number(value, place, f"{key}.{name}")
    _check_worst_rows(metrics.get("worst_rows"), place)
    _check_confidence(metrics.get("confidence"), place)


def _check_worst_rows(found: Any, place: str) -> None:
    for name, tables in _mapping(found, place, "worst_rows").items():
        for key, rows in _mapping(tables, place, f"worst_rows.{name}").items():
            path = f"worst_rows.{name}.{key}"
            if not isinstance(rows, list):
                raise InputError(f"{place}: {path} is {_shown(rows)}; it must be a list of rows")
            for index, row in enumerate(rows):
                if not isinstance(row, Mapping) or not _is_number(row.get("value")) or "index" not in row:
                    raise InputError(f"{place}: {path}[{index}] is no row; it must be an object with index and value")


def _check_confidence(found: Any, place: str) -> None:
    if found is None:
        return
    made = _mapping(found, place, "confidence")
    level = made.get("level")
    if level is None or not (_is_number(level) and 0 < level < 1):
        raise InputError(f"{place}: confidence.level is {_shown(level)}; it must be a number between 0 and 1")
    for name in ("model_utility", "privleak", *DISTANCES):
        _check_interval(made.get(name), place, f"confidence.{name}")
    for name, ends in _mapping(made.get("collateral"), place, "confidence.collateral").items():
        _check_interval(ends, place, f"confidence.collateral.{name}")
    sets = _mapping(made.get("sets"), place, "confidence.sets")
    for name in sets:
        for key, ends in _mapping(sets[name], place, f"confidence.sets.{name}").items():
            _check_interval(ends, place, f"confidence.sets.{name}.{key}")


def _check_number(value: Any, place: str, path: str) -> None:
    if value is not None and not _is_number(value):
        raise InputError(f"{place}: {path} is {_shown(value)}; it must be a number")


def _check_interval(value: Any, place: str, path: str) -> None:
    if value is not None and not (isinstance(value, list) and len(value) == 2 and all(map(_is_number, value))):
        raise InputError(f"{place}: {path} is {_shown(value)}; it must be two numbers")


def _mapping(value: Any, place: str, path: str) -> Mapping[str, Any]:
    if value is None:
        return {}
    if not isinstance(value, Mapping):
        raise InputError(f"{place}: {path} is {_shown(value)}; it must be an object")
    return value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _shown(value: Any) -> str:
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 10**30:
        return f"a whole number of {len(str(abs(value)))} digits"
    kinds = {str: "a text", list: "a list", dict: "an object", type(None): "missing"}
    return kinds.get(type(value)) or str(value)
