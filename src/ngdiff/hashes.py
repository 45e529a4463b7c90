"""Hashes of files and folders."""

import hashlib
from pathlib import Path

from ngdiff.own_folders import without_runs


def sha256_file(path: str | Path) -> str:
    """SHA-256 of a file's bytes, as 64 hexadecimal digits."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_folder(folder: str | Path, *, pattern: str = "**/*") -> dict[str, str]:
    """SHA-256 of each file below `folder`, by its path relative to `folder` with `/`, in order of that path.

    Hidden files, what lies in hidden folders, and what runs of ngdiff wrote into folders below are left out: they are
    no part of a model or data set, and caches of other programs would change the answer.
    """
    root = Path(folder)
    files = without_runs((file for file in root.glob(pattern) if file.is_file()), root)
    found = {file.relative_to(root).as_posix(): file for file in files}
    return {name: sha256_file(found[name]) for name in sorted(found) if not _is_hidden(name)}


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") for part in name.split("/"))
