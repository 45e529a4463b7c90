"""What `ngdiff score` takes from an audit."""

import json
from pathlib import Path

from ngdiff.errors import InputError
from ngdiff.paths import user_path

_FILE = "audit.json"


def read_robustness(source: str | Path) -> float | None:
    """Robustness of an audit, a fraction; None where it had no reference.

    Args:
        source: the folder that `ngdiff audit` wrote, or its `audit.json`.

    Raises:
        InputError: there is none, or it holds no such number.
    """
    place = user_path(source, "--audit")
    path = place / _FILE if place.is_dir() else place
    if not path.is_file():
        raise InputError(f"--audit {source}: there is no {_FILE}; `ngdiff audit` writes one")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        value = content["robustness"]
    except (ValueError, RecursionError, KeyError, TypeError) as error:
        raise InputError(f"--audit: {path} is no {_FILE} of ngdiff; run `ngdiff audit` again") from error
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise InputError(f"--audit: {path}: robustness is {str(value)[:40]}; it must be a number from 0 to 1, or null")
    return float(value)
