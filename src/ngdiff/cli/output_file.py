"""A file that a command writes in addition to its table; it never replaces a file that a command read or wrote."""

from collections.abc import Iterable
from pathlib import Path

from ngdiff.checksums import LIST
from ngdiff.errors import InputError
from ngdiff.evidence.seal import read_sealed
from ngdiff.evidence.verify import READ_WITH_A_MODEL
from ngdiff.file_names import CONFIG, MANIFEST
from ngdiff.output_folder import check_file
from ngdiff.own_folders import is_ours
from ngdiff.paths import existing_path, user_path


def check_output_file(
    file: str | Path,
    *,
    option: str = "--output",
    overwrite: bool = False,
    inputs: Iterable[str | Path] = (),
    may_replace: Iterable[str] = (),
) -> None:
    """Refuse a file that cannot be written, or that would damage something, before any long work.

    Args:
        file: As typed.
        option: How messages name it.
        overwrite: It may replace a file.
        inputs: Files and folders that are read, as typed (`PATH:SPLIT` is PATH); no file of theirs is replaced.
        may_replace: Names of files of a run that it may replace nevertheless.

    Raises:
        InputError: as `ngdiff.output_folder.check_file`; a file of an input or of a run; one that `ngdiff verify` would
            take for a part of a model.
    """
    check_file(file, option=option, overwrite=overwrite)
    path, shown = user_path(file, option), f"{option} {file}"
    read = [place for source in inputs if (place := existing_path(source)) is not None]
    if path.exists() and any(path.resolve().is_relative_to(place.resolve()) for place in read):
        raise InputError(f"{shown} is a file that is read; choose another.")
    for folder in (path.parent, path.parent.parent):
        if is_ours(folder) and path.name not in may_replace:
            _check_beside(path, folder, shown)
    if path.exists() and (path.parent / LIST).is_file():
        raise InputError(f"{shown} is a file of the checkpoint {path.parent}; choose another.")


def _check_beside(path: Path, folder: Path, shown: str) -> None:
    """`folder` holds a run."""
    name = path.relative_to(folder).as_posix()
    written = {MANIFEST, CONFIG, *read_sealed(folder / MANIFEST)[0].get("outputs", ())}
    if name in written:
        raise InputError(f"{shown} is a file of the run in {folder}; choose another.")
    if path.suffix in READ_WITH_A_MODEL and path.parent in {(folder / one).parent for one in written}:
        raise InputError(
            f"{shown} lies beside what the run in {folder} wrote, where ngdiff verify takes it for a file that does "
            "not belong there; choose another folder."
        )
