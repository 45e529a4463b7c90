"""The seal of a manifest: the hash of all the rest of it."""

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ngdiff.files import json_text

CONFIG = "config.yaml"
SEAL = "sha256"


def sealed(content: Mapping[str, Any]) -> dict[str, Any]:
    """A manifest with the SHA-256 of all the rest of it as its last entry."""
    rest = {name: value for name, value in content.items() if name != SEAL}
    return {**rest, SEAL: hashlib.sha256(json.dumps(rest).encode()).hexdigest()}


def read_sealed(path: Path) -> tuple[dict[str, Any], str]:
    """A manifest, and what is wrong with it; empty for one that is byte for byte as it was written.

    White space is looked at, too: a change that JSON does not see is a change.
    """
    try:
        text = path.read_bytes().decode()
        content = json.loads(text)
    except OSError as error:
        return {}, f"cannot be read ({error.strerror})"
    except (ValueError, RecursionError):
        return {}, "is no JSON"
    if not isinstance(content, dict) or content != sealed(content):
        return {}, "its seal is not that of what it holds"
    if text != json_text(content):
        return {}, "it holds what was written in another form"
    return content, ""
