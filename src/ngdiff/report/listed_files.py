"""The files that the sets of a request were read from, each list once and no longer than a page bears."""

import hashlib
from collections.abc import Mapping
from typing import Any, NamedTuple

MOST_FILES = 50  # of a folder, that a page lists


class ListedFiles(NamedTuple):
    """Files of a set.

    Attributes:
        shown: Hashes by name: all, or of a large folder the first; none where another set names them.
        total: How many there are in all.
        sha256: Of the list of all in the format of `SHA256SUMS`, where not all are shown; else empty.
        same_as: The set before this one that has the same files; empty where there is none.
    """

    shown: Mapping[str, str]
    total: int
    sha256: str
    same_as: str


def listed_files(data: Mapping[str, Mapping[str, Any]]) -> dict[str, ListedFiles]:
    """The files of each set, as a manifest describes sets.

    >>> pets = {"files": {"a.png": "00", "b.png": "11"}}
    >>> data = {"forget": pets, "retain": pets}
    >>> [(role, dict(files.shown), files.same_as) for role, files in listed_files(data).items()]
    [('forget', {'a.png': '00', 'b.png': '11'}, ''), ('retain', {}, 'forget')]
    """
    found: dict[str, ListedFiles] = {}
    first: dict[tuple[tuple[str, str], ...], str] = {}
    for role, described in data.items():
        files = described.get("files") or {}
        same_as = first.setdefault(tuple(files.items()), role) if files else role
        if same_as != role:
            found[role] = ListedFiles({}, len(files), "", same_as)
            continue
        short = len(files) > MOST_FILES
        shown = dict(list(files.items())[:MOST_FILES])
        found[role] = ListedFiles(shown, len(files), _hash_of_list(files) if short else "", "")
    return found


def _hash_of_list(files: Mapping[str, str]) -> str:
    return hashlib.sha256("".join(f"{digest}  {name}\n" for name, digest in files.items()).encode()).hexdigest()
