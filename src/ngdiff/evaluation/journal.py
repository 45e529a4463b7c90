"""What a killed evaluation had found, kept line by line, so that `--resume` does not compute it again."""

import json
import os
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from ngdiff.errors import WriteError
from ngdiff.writing import open_new

_PATTERN = "partial.*.jsonl"


class Journal:
    """`private/partial.<rank>.jsonl` below an output folder; nothing at all without a folder.

    A line holds the results of one batch: `{"stage", "items", "values", "crc32"}`. Python writes floats so that they
    read back bit for bit. A line that a kill cut short, or that is not what was written, is skipped: its batch is
    computed again.

    Args:
        folder: The `private/` folder; None: nothing is kept.
        rank: Of this process; each writes a file of its own, and a resumed run reads those of all.
    """

    def __init__(self, folder: Path | None, rank: int = 0) -> None:
        self._folder = folder
        self._path = None if folder is None else folder / _PATTERN.replace("*", str(rank))

    def finished(self, stage: str) -> dict[int, Any]:
        """Results by item of one stage."""
        found: dict[int, Any] = {}
        for path in self._files():
            for line in path.read_bytes().split(b"\n"):
                entry = _parse(line)
                if entry is not None and entry["stage"] == stage:
                    found.update(zip(entry["items"], entry["values"], strict=True))
        return found

    def add(self, stage: str, items: Sequence[int], values: Sequence[Any]) -> None:
        """Results of one batch; they are on the disk when this returns.

        Raises:
            WriteError: the disk is full, or the folder cannot be written; what was found before stays.
        """
        if self._path is None:
            return
        body = json.dumps({"stage": stage, "items": list(items), "values": list(values)}, allow_nan=False)
        line = f'{body[:-1]}, "crc32": {_checksum(body)}}}'.encode()
        try:
            self._path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)  # on other machines: it is not shared
            # The line before may have been cut short.
            start = b"" if _ends_a_line(self._path) else b"\n"
            with open_new(self._path, "ab", private=True) as file:
                file.write(start + line + b"\n")
                file.flush()
                os.fsync(file.fileno())
        except OSError as error:
            raise WriteError(self._path, error, needed=len(line) + 1) from error

    def remove(self) -> None:
        """All files, those of other processes, too; when the records are written."""
        for path in self._files():
            path.unlink()

    def _files(self) -> list[Path]:
        return [] if self._folder is None else sorted(self._folder.glob(_PATTERN))


def _parse(line: bytes) -> dict[str, Any] | None:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):  # empty, cut short, or of other bytes
        return None
    if not isinstance(entry, dict):
        return None
    checksum = entry.pop("crc32", None)
    return entry if checksum == _checksum(json.dumps(entry)) else None


def _checksum(body: str) -> int:
    return zlib.crc32(body.encode())


def _ends_a_line(path: Path) -> bool:
    if not path.exists() or path.stat().st_size == 0:
        return True
    with path.open("rb") as file:
        file.seek(-1, os.SEEK_END)
        return file.read(1) == b"\n"
