"""Which folders runs of ngdiff wrote: those with its manifest."""

import json
from collections.abc import Iterable
from pathlib import Path

from ngdiff.file_names import MANIFEST


def is_ours(folder: Path) -> bool:
    """Whether a folder holds the manifest of a run of ngdiff."""
    path = folder / MANIFEST
    if not path.is_file():
        return False
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError):
        return False
    versions = content.get("versions") if isinstance(content, dict) else None
    return isinstance(versions, dict) and "ngdiff" in versions


def without_runs(files: Iterable[Path], root: Path) -> list[Path]:
    """Those of the files below `root` that do not lie in an output folder of ngdiff below it.

    What a run writes into a folder of data (a card, curves, another model) is no part of that data.
    """
    found = [(file, file.relative_to(root).parents) for file in files]
    folders = {folder for _, parents in found for folder in parents if folder != Path()}
    runs = {folder for folder in folders if is_ours(root / folder)}
    return [file for file, parents in found if runs.isdisjoint(parents)]
