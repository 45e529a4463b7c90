"""The inputs of a run from its manifest: files, their paths, and their hashes."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ngdiff.evidence.seal import read_sealed
from ngdiff.paths import existing_path

# Entries in the description of a model that are descriptions of further models.
_NESTED = {
    "base": "its base model",
    "base_model": "--base-model",
    "tokenizer": "tokenizer",
    "chat_template": "--chat-template",
}


@dataclass(frozen=True)
class Input:
    """One input of a run.

    Attributes:
        role: Its role in the run.
        source: As it was given.
        files: Hash of each file, by its name in the manifest.
        places: Path of each file.
        there: Whether anything exists at its path.
    """

    role: str
    source: str
    files: Mapping[str, str]
    places: Mapping[str, Path]
    there: bool


def inputs_of(manifest: Mapping[str, Any]) -> list[Input]:
    """All inputs that a manifest describes, models first. Inputs from the hub have no files."""
    found = list(_models("model", manifest["model"]))
    found += [_input(f"rows: {role}", described) for role, described in manifest["data"].items()]
    found += [_input(f"--{option}", described) for option, described in manifest["own"].items()]
    return found


def files_read(manifest: Path) -> list[Path]:
    """The files that a run read, as far as they are there; none of a manifest that is not as it was written."""
    content, fault = read_sealed(manifest)
    found = [] if fault else [path for one in inputs_of(content) for path in one.places.values()]
    return [path for path in found if path.exists()]


def _models(role: str, described: Mapping[str, Any]) -> Iterator[Input]:
    if described:
        yield _input(role, described)
    for key, name in _NESTED.items():
        if key in described:
            yield from _models(name if role == "model" else f"{role}, {name}", described[key])


def _input(role: str, described: Mapping[str, Any]) -> Input:
    source = str(described.get("source") or described.get("shape") or "in memory")
    if "places" in described:  # modules, each a file of its own
        places = {name: Path(place) for name, place in described["places"].items()}
        files = {name: digest for name, digest in (described.get("files") or {}).items() if name in places}
        return Input(role, source, files, places, any(path.exists() for path in places.values()))
    place = existing_path(described["place"]) if described.get("place") else None
    files = described.get("files") or {}
    single = described.get("file_sha256") or described.get("sha256") if described.get("place") else None
    if not files and single:
        files = {Path(described["place"]).name: single}
    at = place or Path(described.get("place") or source)
    places = {name: at if at.is_file() else at / name for name in files}
    return Input(role, source, files, places, place is not None)
