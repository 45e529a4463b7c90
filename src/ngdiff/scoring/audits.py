"""The result of an audit that `ngdiff score` includes."""

import json
from pathlib import Path

from ngdiff.errors import InputError
from ngdiff.file_names import AUDIT_FILE
from ngdiff.paths import user_path


def read_robustness(source: str | Path) -> float | None:
    """Robustness from an audit, a fraction; None if the audit had no reference.

    Args:
        source: The output folder of `ngdiff audit`, or its `audit.json`.

    Raises:
        InputError: the file is missing or contains no robustness.
    """
    place = user_path(source, "--audit")
    path = place / AUDIT_FILE if place.is_dir() else place
    if not path.is_file():
        raise InputError(f"--audit {source}: there is no {AUDIT_FILE}; `ngdiff audit` writes one")
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        value = content["robustness"]
    except (ValueError, RecursionError, KeyError, TypeError) as error:
        raise InputError(f"--audit: {path} is not an {AUDIT_FILE} of ngdiff; run `ngdiff audit` again") from error
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise InputError(f"--audit: {path}: robustness is {str(value)[:40]}; it must be a number from 0 to 1, or null")
    return float(value)
