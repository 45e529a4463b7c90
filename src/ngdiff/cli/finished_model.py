"""The model of a finished run, for commands that hand it on: `ngdiff push` and `ngdiff merge`."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from ngdiff.errors import InputError, VerdictError
from ngdiff.evidence.seal import read_sealed
from ngdiff.evidence.verify import outputs_of
from ngdiff.exit_codes import NOT_AS_WRITTEN
from ngdiff.file_names import MANIFEST


def manifest_as_written(folder: Path, *, done: str) -> dict[str, Any]:
    """The manifest of a run.

    Args:
        folder: Where it lies.
        done: What is not done if it was changed, such as `uploaded`.

    Raises:
        VerdictError: it is not as the run wrote it.
    """
    manifest, fault = read_sealed(folder / MANIFEST)
    if fault:
        raise VerdictError(f"{folder / MANIFEST}: {fault}; nothing was {done}", NOT_AS_WRITTEN)
    return manifest


def check_finished(
    folder: Path, manifest: Mapping[str, Any], *, then: str, done: str, hints: Mapping[str, str] | None = None
) -> None:
    """Refuse a model that is not to be handed on.

    Args:
        folder: Where the run wrote it.
        manifest: Of the run.
        then: What to do when the run has ended, such as `push`.
        done: As for `manifest_as_written`.
        hints: Name of a file -> advice where that one was changed.

    Raises:
        InputError: the run has not ended, or its model is ruined.
        VerdictError: a file is not as the run wrote it.
    """
    extra = manifest["extra"]
    if extra.get("finished") is not True:
        raise InputError(f"the run in {folder} has not ended; continue with --resume, then {then}")
    if ruined := extra.get("ruined"):
        raise InputError(f"the model of {folder} is ruined, and nothing was {done}: {ruined}")
    if faults := outputs_of(folder, manifest).faults:
        advice = [f"; {text}" for name, text in (hints or {}).items() if faults[0].startswith(f"{name} ")]
        raise VerdictError(
            f"{folder} is not as its run wrote it, and nothing was {done}: {'; '.join(faults)}{''.join(advice)}",
            NOT_AS_WRITTEN,
        )
