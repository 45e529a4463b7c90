"""A repeated run beside the recorded one: where they ran, and which files of the model have the same bits."""

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ngdiff.evidence.verify import READ_WITH_A_MODEL
from ngdiff.file_names import ADAPTER_CONFIG, PRIVATE, REPORT
from ngdiff.hashes import sha256_file

SAME_BITS = "same bits"  # the note of a file that does not differ
# Of the hardware: the rest (number of cores) changes no bit.
_HARDWARE = ("machine", "threads", "cpu_capability", "accelerators")


def unlike_places(then: Mapping[str, Any], now: Mapping[str, Any]) -> list[str]:
    """Why a repeated run may have other bits, one line for each reason; empty where it must have the same.

    Args:
        then: The manifest of the recorded run.
        now: What `ngdiff.manifest.environment` returns here, where one process repeats the run.

    >>> unlike_places({"device": "cpu", "versions": {"torch": "2.9"}}, {"device": "cpu", "versions": {"torch": "2.8"}})
    ['torch: 2.9 then, 2.8 now']
    """
    before = {**_facts(then), "processes": then.get("extra", {}).get("processes", 1)}
    here = {**_facts(now), "processes": 1}
    found = [
        f"{name}: {_shown(before[name])} then, {_shown(here.get(name))} now"
        for name in before
        if before[name] != here.get(name)
    ]
    hardware = then.get("hardware", {})
    if hardware.get("accelerators") and not hardware.get("deterministic"):
        found.append("the run was on an accelerator without --full-determinism")
    return found


def model_files(manifest: Mapping[str, Any]) -> dict[str, str]:
    """Hash of each file of the model that a run wrote, tokenizer and merged base included, by name."""
    return {
        name: digest
        for name, digest in manifest["outputs"].items()
        if name.endswith((*READ_WITH_A_MODEL, ".txt")) and {PRIVATE, REPORT}.isdisjoint(Path(name).parts)
    }


def differing_files(folder: Path, then: Mapping[str, Any], into: Path, now: Mapping[str, Any]) -> dict[str, str]:
    """What differs of each file of the model; an empty text where the bits are the same.

    An adapter's configuration names the folder of its base, which was moved, and lists layers in no order: its values
    are compared, without that name. The files of the base are among the inputs or the outputs.

    Args:
        folder, into: Outputs of the recorded and of the repeated run.
        then, now: Their manifests.
    """
    expected, written = model_files(then), model_files(now)
    found = dict.fromkeys(expected, "")
    for name, digest in expected.items():
        if name not in written:
            found[name] = "was not written again"
            continue
        actual = sha256_file(into / name)
        same = actual == digest or (
            Path(name).name == ADAPTER_CONFIG and _adapter_options(folder / name) == _adapter_options(into / name)
        )
        found[name] = "" if same else f"expected SHA-256 {digest}, found {actual}"
    return found | {name: "was not written by the recorded run" for name in written if name not in expected}


def _adapter_options(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    content.pop("base_model_name_or_path", None)
    return {name: sorted(map(str, value)) if isinstance(value, list) else value for name, value in content.items()}


def _facts(described: Mapping[str, Any]) -> dict[str, Any]:
    hardware = described.get("hardware", {})
    own = {name: hardware[name] for name in _HARDWARE if name in hardware}
    return {**described["versions"], "device": described["device"], **own}


def _shown(value: Any) -> str:
    return ", ".join(map(str, value)) or "none" if isinstance(value, list) else str(value)
