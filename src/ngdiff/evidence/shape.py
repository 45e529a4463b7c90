"""The shape of a manifest: a seal that is right says nothing of whether this version can read what was sealed."""

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ngdiff.file_names import CURVES, REPORT, TRAINING_LOG

Check = Callable[[Any, str], str]


def fault_of_shape(manifest: Mapping[str, Any]) -> str:
    """What keeps this version from reading a manifest, or an empty text.

    Entries that it does not know are passed over.

    >>> fault_of_shape({"versions": []})
    'its entry versions is no object; another version of ngdiff, or another program, wrote it'
    """
    fault = _MANIFEST(manifest, "")
    return f"its entry {fault}; another version of ngdiff, or another program, wrote it" if fault else ""


def _is(kind: type | tuple[type, ...], what: str) -> Check:
    def check(value: Any, place: str) -> str:
        wrong = not isinstance(value, kind) or (isinstance(value, bool) and kind is not bool)
        return f"{place} is no {what}" if wrong else ""

    return check


def _or_null(check: Check) -> Check:
    return lambda value, place: "" if value is None else check(value, place)


def _all(check: Check, kind: type = dict, what: str = "object") -> Check:
    """Every value of an object, or of a list."""

    def check_all(value: Any, place: str) -> str:
        if not isinstance(value, kind):
            return f"{place} is no {what}"
        own: Any = value
        items = own.items() if isinstance(own, dict) else enumerate(own)
        return next(filter(None, (check(item, f"{place}.{key}") for key, item in items)), "")

    return check_all


def _object(needed: Mapping[str, Check], more: Mapping[str, Check] | None = None) -> Check:
    """An object with these entries, and maybe `more`."""

    def check(value: Any, place: str) -> str:
        if not isinstance(value, dict):
            return f"{place} is no object"
        for name, own in {**needed, **(more or {})}.items():
            at = f"{place}.{name}" if place else name
            if name in needed and name not in value:
                return f"{at} is missing"
            if name in value and (fault := own(value[name], at)):
                return fault
        return ""

    return check


def _list_of(check: Check) -> Check:
    return _all(check, list, "list")


_TEXT, _NUMBER, _WHOLE = _is(str, "text"), _is((int, float), "number"), _is(int, "whole number")
_TEXTS = _all(_TEXT)
_FLAG = _is(bool, "truth value")
_FILES = {
    **dict.fromkeys(("source", "place", "sha256", "file_sha256", "shape", "revision"), _or_null(_TEXT)),
    "files": _TEXTS,
    "places": _TEXTS,
}
_ROWS = _object({"rows": _WHOLE, "rows_sha256": _TEXT}, _FILES)
_LOSS = _or_null(_NUMBER)
_LOSSES = _or_null(_all(_LOSS))


def _model(value: Any, place: str) -> str:
    """A described model; models in it are described alike."""
    nested = dict.fromkeys(("base", "base_model", "tokenizer", "retrained", "never_trained"), _model)
    return _object({}, {**_FILES, **nested})(value, place)


def _command(value: Any, place: str) -> str:
    return _list_of(_TEXT)(value, place) or ("" if value else f"{place} is empty")


def _outputs(value: Any, place: str) -> str:
    """Hashes by name; log and curves beside the model would be taken for files of it."""
    beside = [name for name in (TRAINING_LOG, CURVES) if Path(name).name in value] if isinstance(value, dict) else []
    return _TEXTS(value, place) or (f"{place}.{Path(beside[0]).name} lies outside {REPORT}/" if beside else "")


_VERDICT = _object({"require": _TEXT, "value": _LOSS, "before": _LOSS, "bound": _LOSS, "met": _or_null(_FLAG)})
_RETEST = _object(
    {"place": _TEXT, "before": _LOSS, "after": _LOSS, "now": _LOSS, "threshold": _LOSS, "state": _TEXT},
    {"why": _TEXT},
)
_REQUEST = _object(
    {
        "place": _TEXT,
        "sha256": _TEXT,
        "utc": _TEXT,
        "forget": _ROWS,
        "template": _or_null(_TEXT),
        "max_length": _or_null(_WHOLE),
        "before": _LOSS,
        "after": _LOSS,
        "require": _list_of(_TEXT),
    }
)
_FINDING = _object({"what": _TEXT, "severity": _TEXT, "found": _TEXT, "advice": _TEXT})
_EXTRA = _object(
    {},
    {
        "finished": _FLAG,
        "processes": _WHOLE,
        "rows_per_step": _or_null(_WHOLE),
        "ruined": _or_null(_TEXT),
        "max_length": _or_null(_WHOLE),
        "losses_before": _LOSSES,
        "losses_after": _LOSSES,
        "checks": _list_of(_FINDING),
        "requirements": _list_of(_TEXT),
        "verdicts": _list_of(_VERDICT),
        "earlier_requests": _list_of(_RETEST),
        "method": _object({"weighting": _TEXT, "forget": _TEXT, "retain": _TEXT}),
        "formulas": _TEXTS,
    },
)
_MANIFEST = _object(
    {
        "versions": _TEXTS,
        "utc": _TEXT,
        "command": _command,
        "config_sha256": _TEXT,
        "seed": _WHOLE,
        "template": _or_null(_TEXT),
        "data": _all(_ROWS),
        "model": _model,
        "own": _all(_object({}, _FILES)),
        "device": _TEXT,
        "extra": _EXTRA,
        "outputs": _outputs,
    },
    {
        "template_text": _or_null(_TEXT),
        "after": _object({"place": _TEXT, "sha256": _TEXT, "requests": _list_of(_REQUEST)}),
    },
)
