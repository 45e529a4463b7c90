"""The seal of a manifest: the hash of its other contents."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ngdiff.evidence.shape import fault_of_shape
from ngdiff.writing import json_text

SEAL = "sha256"


def sealed(content: Mapping[str, Any]) -> dict[str, Any]:
    """A manifest with the SHA-256 of its contents added as the last entry."""
    rest = {name: value for name, value in content.items() if name != SEAL}
    return {**rest, SEAL: hashlib.sha256(json.dumps(rest).encode()).hexdigest()}


def read_sealed(path: Path) -> tuple[dict[str, Any], str]:
    """A manifest and its fault; the fault is empty if the file is byte for byte as it was written.

    Changes of white space, which do not affect the JSON value, are also found.
    """
    if path.exists() and not path.is_file():
        return {}, "is no regular file"
    try:
        text = path.read_bytes().decode()
        content = json.loads(text)
    except OSError as error:
        return {}, f"cannot be read ({error.strerror})"
    except (ValueError, RecursionError):
        return {}, "is not JSON"
    if not isinstance(content, dict) or content != sealed(content):
        return {}, "its seal does not match its contents"
    if text != json_text(content):
        return {}, "its contents were written in another form"
    if fault := fault_of_shape(content):
        return {}, fault
    return content, ""
