"""Facts on a base model: its name on the hub and its licence, from its own card or config."""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import yaml
from huggingface_hub import hf_hub_download, metadata_load, try_to_load_from_cache
from huggingface_hub.utils import validate_repo_id

from ngdiff.file_names import CARD, MERGED_BASE
from ngdiff.hub_errors import HUB_ERRORS

_LONGEST_NAME = 80
_SECONDS = 5  # to ask the hub for a card
_LICENCE = re.compile(r"[A-Za-z0-9][A-Za-z0-9.+ _-]{0,63}")


@dataclass(frozen=True)
class Base:
    """The model that a run began with.

    Attributes:
        name: To be shown: the name on the hub, or the last part of the folder's.
        repository: On the hub: of a whole model, of which that of the run was made; of an adapter, the very weights
            that it adds to. None where it is not known.
        licence: `license` and, where there are any, `license_name` and `license_link`, as model cards have them.
    """

    name: str
    repository: str | None = None
    licence: Mapping[str, str] = field(default_factory=dict)


def base_of(described: Mapping[str, Any], *, adapter: bool = False) -> Base:
    """The base model, from a manifest's entry for the model of its run (`ngdiff.manifest.describe_model`).

    A folder is asked by its `README.md` and `config.json`. A name on the hub is asked by its card, from the cache, or
    from the hub itself if it answers within seconds. What is not found is left out. What the card of a folder names as
    its own base has other weights than the folder, so that it is no base of an adapter.

    Args:
        described: The `model` of a manifest.
        adapter: What the run wrote is an adapter; its base is that of an adapter it began with.
    """
    if "shape" in described:
        return Base("random weights of the shape " + short_name(Path(str(described["shape"])).name))
    if adapter and "base" in described:
        return base_of(described["base"], adapter=True)
    source = str(described.get("source", ""))
    if "place" not in described:
        metadata = _on_hub(source, described.get("revision")) if _is_repository(source) else {}
        return Base(short_name(source), source if _is_repository(source) else None, _licence(metadata, {}))
    folder = Path(described["place"])
    metadata, config = _metadata(folder / CARD), _config(folder)
    within = base_of(described["base"]) if "base" in described else Base("")
    stated = metadata.get("base_model")
    repository = stated if isinstance(stated, str) and _is_repository(stated) else within.repository
    name = f"{folder.parent.name}/{MERGED_BASE}" if folder.name == MERGED_BASE else folder.name
    return Base(short_name(name), None if adapter else repository, _licence(metadata, config) or within.licence)


def merged_base_of(described: Mapping[str, Any], output: str) -> Base:
    """The base of an adapter that was trained on a merged model, which lies in `merged_base` beside the adapter.

    Args:
        described: The `model` of a manifest: what was merged.
        output: Name of the adapter's folder.
    """
    return Base(short_name(f"{output}/{MERGED_BASE}"), None, base_of(described).licence)


def short_name(text: str) -> str:
    """A name to be shown: one line without control characters, of at most 80 characters.

    >>> short_name("a\\n# b"), len(short_name("x" * 300))
    ('a # b', 80)
    """
    words = " ".join("".join(c if c.isprintable() else " " for c in text).split())
    return words if len(words) <= _LONGEST_NAME else words[: _LONGEST_NAME - 3] + "..."


def _is_repository(name: str) -> bool:
    try:
        validate_repo_id(name)
    except ValueError:
        return False
    return bool(name)


def _on_hub(name: str, revision: str | None) -> Mapping[str, Any]:
    path = try_to_load_from_cache(name, CARD, revision=revision)
    if not isinstance(path, str):
        try:
            path = hf_hub_download(name, CARD, revision=revision, etag_timeout=_SECONDS)
        except HUB_ERRORS:  # no network, no such card, not allowed to read it
            return {}
    return _metadata(Path(path))


def _metadata(card: Path) -> Mapping[str, Any]:
    """The YAML head of a card; empty if there is none or it cannot be read."""
    try:
        return metadata_load(card) or {}
    except (OSError, ValueError, yaml.YAMLError, RecursionError):
        return {}


def _config(folder: Path) -> Mapping[str, Any]:
    try:
        found = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    except (OSError, ValueError, RecursionError):
        return {}
    return found if isinstance(found, dict) else {}


def _licence(metadata: Mapping[str, Any], config: Mapping[str, Any]) -> dict[str, str]:
    found = metadata.get("license") or config.get("license")
    if isinstance(found, list) and len(found) == 1:
        found = found[0]
    if not (isinstance(found, str) and _LICENCE.fullmatch(found)):
        return {}
    licence = {"license": found}
    name, link = metadata.get("license_name"), metadata.get("license_link")
    if isinstance(name, str) and _LICENCE.fullmatch(name):
        licence["license_name"] = name
    if isinstance(link, str) and re.fullmatch(r"https://[\x21-\x7e]{1,200}", link):
        licence["license_link"] = link
    return licence
