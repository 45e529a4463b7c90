"""Files that are always complete: written under a hidden name, then renamed; text, JSON and bytes."""

import json
import math
import os
import re
import shutil
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ngdiff.errors import WriteError
from ngdiff.file_names import PRIVATE, REPORT

PARTIAL_FOLDER = ".partial-"  # and eight characters of `tempfile.mkdtemp`: files on their way to a folder
# What a kill leaves of `write_text` and of a folder of PARTIAL_FOLDER.
_LEFT_FILE = re.compile(r"\..+\.\d+\.partial")
_LEFT_FOLDER = re.compile(re.escape(PARTIAL_FOLDER) + "[a-z0-9_]{8}")


def make_folder(path: Path) -> None:
    """Make a folder and those above it, as far as they are missing.

    Raises:
        WriteError: the disk is full, or the place cannot be written.
    """
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WriteError(path, error) from error


def write_text(path: str | Path, text: str, *, private: bool = False) -> None:
    """Write a UTF-8 file atomically: whatever happens, it is the new one, complete, or the one before.

    Args:
        path: The file.
        text: All of it.
        private: Only its owner may read it (mode 0600); else the umask decides, as for any other file.

    Raises:
        WriteError: the disk is full, or the place cannot be written; the file that was there is untouched.
    """
    write_bytes(path, text.encode(), private=private)


def write_bytes(path: str | Path, content: bytes, *, private: bool = False) -> None:
    """`write_text` of bytes."""
    path = Path(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        try:
            with open_new(partial, private=private) as file:
                file.write(content)
                file.flush()
                # Without this, a power cut after the rename may leave an empty file of the right name.
                os.fsync(file.fileno())
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)  # it is gone already, unless something above failed
    except OSError as error:
        raise WriteError(path, error, needed=len(content)) from error


def open_new(path: str | Path, mode: str = "wb", *, private: bool = False) -> Any:
    """`open` of a binary file; one that is made belongs to its owner alone where it is `private`."""
    return open(path, mode, opener=lambda name, flags: os.open(name, flags, 0o600 if private else 0o666))


def write_json(path: str | Path, value: Any) -> None:
    """`write_text` of indented JSON.

    Raises:
        ValueError: a NaN or infinity, which JSON cannot write.
        WriteError: as `write_text`.
    """
    write_text(path, json_text(value))


def json_text(value: Any) -> str:
    """What `write_json` writes.

    Raises:
        ValueError: a NaN or infinity.
    """
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def json_lines(records: Iterable[Any]) -> str:
    """Text of a JSON Lines file, a record a line.

    Raises:
        ValueError: a NaN or infinity.
    """
    return "".join(json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n" for record in records)


def without_nan(value: Any) -> Any:
    """The same with None, JSON's null, for each number that is not finite: a log may hold some, JSON may not.

    >>> without_nan({"loss": float("nan"), "fits": [{"rho": 1.0, "ahead": float("inf")}]})
    {'loss': None, 'fits': [{'rho': 1.0, 'ahead': None}]}
    """
    if isinstance(value, Mapping):
        return {name: without_nan(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def share_as_usual(folder: str | Path) -> None:
    """Give the files of a folder the permissions that the umask gives to any new file.

    safetensors makes its files readable by their owner alone, whatever the umask says; a server of another user could
    not load the model.
    """
    for file in Path(folder).iterdir():
        if file.is_file() and not file.is_symlink():
            share_file(file)


def share_file(file: Path) -> None:
    """As `share_as_usual`, of one file."""
    umask = os.umask(0o077)  # there is no other way to ask for it
    os.umask(umask)
    file.chmod(0o666 & ~umask)


def remove_leftovers(folder: Path) -> None:
    """Remove what killed runs left half-written in an output folder, its `report/` and `private/`, under names of ours
    alone."""
    for place in (folder, folder / REPORT, folder / PRIVATE):
        for entry in list(place.iterdir()) if place.is_dir() and not place.is_symlink() else []:
            if is_leftover(entry):
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


def is_leftover(entry: Path) -> bool:
    """Whether a kill left a file or folder of this name half-written."""
    kind = entry.lstat().st_mode  # of a link, not of what it names
    if stat.S_ISDIR(kind):
        return _LEFT_FOLDER.fullmatch(entry.name) is not None
    return stat.S_ISREG(kind) and _LEFT_FILE.fullmatch(entry.name) is not None
