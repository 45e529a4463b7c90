"""`ngdiff score` over the `metrics.json` of an evaluation: its manifest goes on to say what the numbers are of."""

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from ngdiff.evidence.seal import read_sealed, sealed
from ngdiff.file_names import MANIFEST, METRICS_FILE
from ngdiff.hashes import sha256_file
from ngdiff.paths import full_path
from ngdiff.writing import write_json

ABILITIES = "lm_eval"  # what the numbers hold that no record does


def sealed_evaluation(target: Path, records: Sequence[Path], numbers: Mapping[str, Any]) -> dict[str, Any] | None:
    """The manifest that the numbers belong to: of the evaluation whose `metrics.json` they become. To be called before
    they are written.

    None where they are not those of all its records, as it wrote them; then `ngdiff verify` goes on to call the file
    changed. What no record holds is taken from the file that is replaced, which is then as it was written, too.

    Args:
        target: The file to be written.
        records: The files that the numbers are of.
        numbers: Its contents.
    """
    folder = target.parent
    manifest, fault = read_sealed(folder / MANIFEST)
    if fault or target.name != METRICS_FILE or METRICS_FILE not in manifest["outputs"]:
        return None
    written = {folder / name: digest for name, digest in manifest["outputs"].items() if name.endswith(".jsonl")}
    if {path.resolve() for path in records} != {path.resolve() for path in written}:
        return None
    if ABILITIES in numbers:
        written[target] = manifest["outputs"][METRICS_FILE]
    return manifest if all(sha256_file(path) == digest for path, digest in written.items()) else None


def record_scoring(
    target: Path, manifest: Mapping[str, Any], command: Sequence[str], others: Mapping[str, Sequence[Path]]
) -> None:
    """Write the manifest again, with the hash of the new numbers, and what they were compared with. To be called after
    they are written.

    Args:
        target: The `metrics.json`.
        manifest: From `sealed_evaluation`.
        command: For the manifest.
        others: By role the files that the records were compared with.

    Raises:
        WriteError: the folder cannot be written.
    """
    against = {
        role: {str(full_path(path)): sha256_file(path) for path in paths} for role, paths in sorted(others.items())
    }
    scored = {"utc": datetime.now(UTC).isoformat(timespec="seconds"), "command": list(command), "against": against}
    outputs = {**manifest["outputs"], METRICS_FILE: sha256_file(target)}
    content = {**manifest, "outputs": outputs, "extra": {**manifest["extra"], "scored": scored}}
    write_json(target.parent / MANIFEST, sealed(content))
