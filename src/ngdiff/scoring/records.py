"""Records from files, with every line validated."""

import json
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from ngdiff.errors import InputError
from ngdiff.file_names import PRIVATE, RECORDS
from ngdiff.metrics import METRICS
from ngdiff.paths import user_path

_LIKELIHOODS = ("paraphrased", "lowercase", "base_model")
_PER_TOKEN = ("token_nll", "token_z", "token_hit")
_NOT_RECITED = ("n_given", "n_end")
# A record needs all fields of at least one of these.
_CONTENTS = (("nll_sum", "n_tokens"), ("reference", "generated"), ("label", "predicted"))
# A loss is never negative; rounding may take sums of log-probabilities this far below 0.
_ROUNDING = 1e-3


def read_sets(sources: Sequence[str | Path]) -> dict[str, list[dict[str, Any]]]:
    """The records of every set, by set name, in the order of `ngdiff.metrics.METRICS`; other sets follow.

    The name of a set is the `set` field of its records, or else that in the file name, `records_<set>.jsonl`.

    Args:
        sources: Files of records (JSON lines), or folders: that of an evaluation, with `private/records_*.jsonl`,
            or one that contains `records_*.jsonl`.

    Raises:
        InputError: a missing file, an invalid line (with file, line and reason), or two files of one set.
    """
    sets: dict[str, list[dict[str, Any]]] = {}
    origin: dict[str, Path] = {}
    for path in (file for source in sources for file in record_files(source)):
        records = read_records(path)
        name = _set_name(records, path)
        if name in sets:
            raise InputError(
                f"{origin[name]} and {path} are both of the set {name!r}; score the records of one model at a time"
            )
        sets[name], origin[name] = records, path
    known = list(METRICS)
    order = sorted(sets, key=lambda name: (known.index(name) if name in known else len(known), name))
    return {name: sets[name] for name in order}


def record_files(source: str | Path, option: str = "") -> list[Path]:
    """The files of records that a path names: itself, or those in a folder.

    Args:
        source: As typed.
        option: The option that it was given for, at the start of messages.

    Raises:
        InputError: there is no such file or folder, or no records in it.
    """
    path, named = user_path(source), f"{option} {source}".lstrip()
    if path.is_file():
        return [path]
    if not path.is_dir():
        raise InputError(f"{named}: no such file or folder")
    found = sorted((path / PRIVATE).glob(RECORDS)) or sorted(path.glob(RECORDS))
    if not found:
        raise InputError(f"{named} holds no records: neither private/{RECORDS} nor {RECORDS}")
    return found


def read_records(path: Path) -> list[dict[str, Any]]:
    """The records of one file.

    Raises:
        InputError: no records, or an invalid line; with file and line.
    """
    records = []
    try:
        with path.open(encoding="utf-8") as lines:
            for number, line in enumerate(lines, start=1):
                if line.strip():
                    records.append(_record(line, f"{path}, line {number}"))
    except UnicodeDecodeError as error:
        raise InputError(f"{path} is not UTF-8 text: {error.reason}") from error
    if not records:
        raise InputError(f"{path} holds no records")
    return records


def _record(line: str, place: str) -> dict[str, Any]:
    try:
        record = json.loads(line, parse_constant=_refuse_constant)
    except RecursionError as error:
        raise InputError(f"{place}: nested too deeply for a record") from error
    except ValueError as error:  # not JSON, or NaN or infinity
        raise InputError(f"{place}: not a JSON record: {error}") from error
    if not isinstance(record, dict):
        raise InputError(f"{place}: a record is a JSON object, found {_shown(record)}")
    check_record(record, place)
    return record


def check_record(record: Mapping[str, Any], place: str) -> None:
    """Refuse a record with fields of the wrong type.

    Absent fields and null are accepted: each metric uses only the records that have its fields.

    Raises:
        InputError: with the place, the field, the value found and the values accepted.
    """
    if not any(all(record.get(field) is not None for field in fields) for fields in _CONTENTS):
        ways = "; or ".join(" and ".join(fields) for fields in _CONTENTS)
        raise InputError(f"{place}: a record needs {ways}")
    for field, (accepts, wanted) in _FIELDS.items():
        value = record.get(field)
        if value is not None and not accepts(value):
            raise InputError(f"{place}: {field} is {_shown(value)}; it must be {wanted}")
    _check_likelihood(record, place)
    for field in _LIKELIHOODS:
        if record.get(field) is not None:
            _check_likelihood(record[field], f"{place}: {field}", needed=True)
    for index, other in enumerate(record.get("perturbed") or ()):
        _check_likelihood(other, f"{place}: perturbed {index}", needed=True)
    for field in _PER_TOKEN:
        if record.get(field) is not None and len(record[field]) != record.get("n_tokens"):
            raise InputError(
                f"{place}: {field} has {len(record[field])} entries; it must have one per token, and n_tokens is "
                f"{record.get('n_tokens')}"
            )
    outside = sum(record.get(field) or 0 for field in _NOT_RECITED)
    if outside and outside > (record.get("n_tokens") or 0):
        raise InputError(
            f"{place}: {' and '.join(_NOT_RECITED)} count labels of the answer, but they are {outside}; "
            f"n_tokens is {record.get('n_tokens')}"
        )


def _check_likelihood(value: Any, place: str, *, needed: bool = False) -> None:
    if not isinstance(value, Mapping):
        raise InputError(f"{place} is {_shown(value)}; it must be an object with nll_sum and n_tokens")
    nll_sum, n_tokens = value.get("nll_sum"), value.get("n_tokens")
    if nll_sum is None and n_tokens is None and not needed:
        return
    if not _is_loss(nll_sum):
        raise InputError(f"{place}: nll_sum is {_shown(nll_sum)}; it must be a number of nats, 0 or more")
    if not _is_count(n_tokens):
        raise InputError(f"{place}: n_tokens is {_shown(n_tokens)}; it must be a whole number, 1 or more")


def _is_number(value: Any) -> bool:
    # An integer may be too large for a float; no loss is.
    return isinstance(value, int | float) and not isinstance(value, bool) and abs(value) < 1e300


def _is_integer(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and abs(value) < 2**63


def _is_loss(value: Any) -> bool:
    return _is_number(value) and bool(value >= -_ROUNDING)


def _is_count(value: Any) -> bool:
    return _is_integer(value) and bool(value >= 1)


def _is_text(value: Any) -> bool:
    return isinstance(value, str)


def _is_name(value: Any) -> bool:
    return _is_text(value) and re.fullmatch(r"[A-Za-z0-9_-]+", value) is not None


def _list_of(accepts: Callable[[Any], bool]) -> Callable[[Any], bool]:
    return lambda value: isinstance(value, list) and bool(value) and all(map(accepts, value))


def _is_piece(value: Any) -> bool:
    return isinstance(value, list) and len(value) == 2 and all(map(_is_count, value)) and bool(value[0] <= value[1])


# Field -> a check of its value, and a description of the accepted values.
_FIELDS: dict[str, tuple[Callable[[Any], bool], str]] = {
    "set": (_is_name, "letters, digits, - and _"),
    "index": (lambda value: _is_integer(value) and value >= 0, "a whole number, 0 or more"),
    "origin": (_is_text, "a text"),
    "document": (_is_text, "a text"),
    "prompt": (_is_text, "a text"),
    "reference": (_is_text, "a text"),
    "generated": (_is_text, "a text, or null where nothing was generated"),
    "perturbed": (lambda value: isinstance(value, list), "a list of objects with nll_sum and n_tokens"),
    "n_given": (lambda value: _is_integer(value) and value >= 0, "a whole number, 0 or more"),
    "n_end": (lambda value: _is_integer(value) and value >= 0, "a whole number, 0 or more"),
    "n_cut": (lambda value: _is_integer(value) and value >= 0, "a whole number, 0 or more"),
    "piece": (_is_piece, "two whole numbers, which piece and of how many"),
    "token_nll": (_list_of(_is_loss), "a list of numbers, 0 or more"),
    "token_z": (_list_of(_is_number), "a list of numbers"),
    "token_hit": (_list_of(lambda v: v in (0, 1)), "a list of 0 and 1"),
    "grad_norm": (lambda value: _is_number(value) and value >= 0, "a number, 0 or more"),
    "label": (_is_integer, "a whole number, the class"),
    "predicted": (_is_integer, "a whole number, the class"),
}


def _set_name(records: Sequence[Mapping[str, Any]], path: Path) -> str:
    names = {record["set"] for record in records if record.get("set") is not None}
    if len(names) > 1:
        raise InputError(f"{path} mixes the sets {', '.join(sorted(names))}; one file holds the records of one set")
    name = names.pop() if names else path.stem.removeprefix("records_")
    if not _is_name(name):
        raise InputError(
            f"{path}: set name {name!r} has characters other than letters, digits, - and _; name the file "
            "records_SET.jsonl"
        )
    return str(name)


def _refuse_constant(text: str) -> float:
    raise ValueError(f"{text} is not a number; a model whose loss is not finite cannot be scored")


def _shown(value: Any) -> str:
    """A value for a message, without texts of the data."""
    if value is None:
        return "missing"
    if isinstance(value, str):
        return "a text"
    if isinstance(value, Mapping):
        return "an object"
    if isinstance(value, list):
        return f"a list of {len(value)}"
    return str(value)[:30]
