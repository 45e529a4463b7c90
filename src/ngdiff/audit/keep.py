"""Results of finished attacks on disk, for `--resume`. They contain texts and belong in `private/`."""

import json
import zlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ngdiff.audit.base import Variant
from ngdiff.errors import InputError
from ngdiff.writing import write_text


def keep(path: Path, forms: Mapping[str, Variant]) -> None:
    """Write the forms of an attack on one model, atomically.

    Raises:
        WriteError: the file cannot be written.
    """
    content = {
        name: {
            "leaks": {key: [None if x != x else x for x in values] for key, values in own.leaks.items()},
            "shown": own.shown,
            "records": list(own.records),
        }
        for name, own in forms.items()
    }
    text = json.dumps({"forms": content, "crc32": _checksum(content)}, ensure_ascii=False, allow_nan=False)
    write_text(path, text + "\n", private=True)


def kept(path: Path) -> dict[str, Variant] | None:
    """The forms that `keep` wrote; None if the file does not exist.

    Raises:
        InputError: the file is damaged.
    """
    if not path.is_file():
        return None
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
        forms = content["forms"]
        if content["crc32"] != _checksum(forms):
            raise ValueError("another checksum")
        return {
            name: Variant(
                {key: [float("nan") if x is None else x for x in values] for key, values in own["leaks"].items()},
                own["shown"],
                own["records"],
            )
            for name, own in forms.items()
        }
    except (ValueError, RecursionError, KeyError, TypeError, AttributeError) as error:
        raise InputError(f"{path} is damaged; delete it, and --resume runs its attack again") from error


def _checksum(forms: Any) -> int:
    return zlib.crc32(json.dumps(forms, allow_nan=False).encode())
