"""Hashes of the user's own code and answers that a run uses: a resumed run must use the same."""

import hashlib
from typing import Any

from ngdiff.data.refusals import read_refusals
from ngdiff.hashes import sha256_file
from ngdiff.imports import source_files
from ngdiff.paths import absolute_source
from ngdiff.spec import parse_spec
from ngdiff.training.unlearn_arguments import UnlearnArguments
from ngdiff.weighting.torchjd import PREFIX


def describe_own(config: UnlearnArguments) -> dict[str, dict[str, Any]]:
    """By option, for the manifest: weightings and objectives of own modules, and the answers that are taught.

    The texts of `--idk-file` are not in it, only their hash.
    """
    parts = config.parts
    named = {
        "weighting": parts.weighting,
        "forget-objective": parts.forget,
        "retain-objective": parts.retain,
    }
    found = {option: _describe_code(text) for option, text in named.items() if _is_own(text)}
    if "alternate" in config.resolve_objectives()["forget"].needs:
        answers = read_refusals(config.idk_file)
        digest = hashlib.sha256("\n".join(answers).encode()).hexdigest()
        found["idk-file"] = {"source": config.idk_file, "rows": len(answers), "sha256": digest}
        if config.idk_file is not None:
            place = absolute_source(config.idk_file)
            found["idk-file"] |= {"place": place, "file_sha256": sha256_file(str(place))}
    return found


def _is_own(text: str) -> bool:
    name = parse_spec(text).name
    return ":" in name and not name.startswith(PREFIX)


def _describe_code(text: str) -> dict[str, Any]:
    """Hashes of the source files, by module."""
    name = parse_spec(text).name
    found = source_files(name)
    return {
        "source": name,
        "files": {module: sha256_file(path) for module, path in found.items()},
        "places": {module: str(path) for module, path in found.items()},
    }
