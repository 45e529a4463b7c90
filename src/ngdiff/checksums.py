"""`SHA256SUMS`: the hashes of a folder's files, in the format of coreutils, so that `sha256sum -c` can check them.

It is written last, when everything else is on the disk. A folder without it was not completely written.
"""

import os
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from ngdiff.hashes import sha256_file
from ngdiff.writing import write_text

LIST = "SHA256SUMS"


def write_checksums(folder: str | Path) -> None:
    """Flush all files below `folder` to the disk, write the list, and flush the folders.

    Raises:
        OSError: the disk is full, or the folder cannot be written.
    """
    root = Path(folder)
    names = _names(root)
    for name in names:
        flush(root / name)
    for below in {path for name in names for path in (root / name).parents if path.is_relative_to(root)}:
        flush(below)
    hashes = _hashes(root, names)
    write_text(root / LIST, "".join(f"{hashes[name]}  {name}\n" for name in names))
    flush(root)
    flush(root.parent)


def wrong_files(folder: str | Path) -> list[str]:
    """Faults of the files of `folder`, one message for each; empty if all are as they were written.

    Files that are not in the list were not written with it and are ignored.
    """
    root = Path(folder)
    try:
        text = (root / LIST).read_bytes().decode()
    except (OSError, ValueError):
        return [f"{LIST} is missing or cannot be read: the files here were not completely written"]
    lines = text.split("\n")  # other line endings would be an unnoticed change
    if lines.pop():
        return [f"{LIST} does not end with a newline"]
    listed: dict[str, str] = {}
    for number, line in enumerate(lines, start=1):
        digest, separator, name = line.partition("  ")
        if not (separator and name and len(digest) == 64 and set(digest) <= set("0123456789abcdef")):
            return [f"{LIST}, line {number}: not a SHA-256 and a name"]
        listed[name] = digest
    if not listed:
        return [f"{LIST} is empty"]
    return unlike(root, listed)


def unlike(folder: str | Path, expected: Mapping[str, str]) -> list[str]:
    """Faults of files whose hashes are known, one message for each.

    Args:
        folder: Where they lie.
        expected: Name of a file -> its SHA-256.
    """
    root = Path(folder)
    there = [name for name in expected if (root / name).is_file()]
    found = _hashes(root, there)
    wrong = [f"{name} is missing" for name in expected if name not in found]
    return wrong + [
        f"{name} is damaged: expected SHA-256 {expected[name]}, found {found[name]}"
        for name in there
        if found[name] != expected[name]
    ]


def flush(path: str | Path) -> None:
    """Flush a file or the entries of a folder to the disk (fsync).

    Raises:
        OSError: it cannot be read, or the disk is full.
    """
    path = Path(path)
    if path.is_dir() and os.name != "posix":  # other systems cannot open folders
        return
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _names(root: Path) -> list[str]:
    """All files below `root` except the list, including hidden ones, such as those of sharded weights."""
    found = (path for path in root.rglob("*") if path.is_file())
    return sorted(name for path in found if (name := path.relative_to(root).as_posix()) != LIST)


def _hashes(root: Path, names: list[str]) -> dict[str, str]:
    with ThreadPoolExecutor(max_workers=min(8, os.cpu_count() or 1)) as pool:  # hashing releases the GIL
        return dict(zip(names, pool.map(lambda name: sha256_file(root / name), names), strict=True))
