"""Output folders and files that are never overwritten by accident."""

import os
import shutil
from collections.abc import Iterable
from pathlib import Path

from ngdiff.checkpoint_places import checkpoints_of
from ngdiff.errors import NO_SPACE, InputError
from ngdiff.file_names import (
    BASE_MODEL,
    CHECKPOINTS,
    MANIFEST,
    MANIFEST_COPY,
    MERGED_BASE,
    PRIVATE,
    REFERENCE,
    REPORT,
    RUINED,
)
from ngdiff.own_folders import is_ours
from ngdiff.paths import check_regular, existing_path, user_path
from ngdiff.writing import PARTIAL_FOLDER, is_leftover, make_folder, remove_leftovers

# Of the files of a run, and the names of its folders.
_SUFFIXES = (".json", ".yaml", ".png", ".safetensors")
_FOLDERS = (CHECKPOINTS, PRIVATE, REPORT, REFERENCE, BASE_MODEL, RUINED, MERGED_BASE)


def prepare_output(
    folder: str | Path,
    *,
    overwrite: bool = False,
    resume: bool = False,
    resumable: bool = True,
    inputs: Iterable[str | Path] = (),
) -> Path:
    """Make `folder` ready to be written to.

    A folder that is missing or empty is made. A folder with something in it is taken as it is with `resume`,
    emptied with `overwrite`, and refused otherwise. It is emptied only if it holds a manifest of ngdiff, that
    is, if an earlier run wrote it: a mistyped `--output ~` must not cost a home directory. Write the manifest
    (`ngdiff.manifest.write_manifest`) before anything else, so that a run which is killed can be overwritten.
    What a killed run left half-written under a hidden name is removed.

    Args:
        folder: The output folder; `~` is the home directory.
        overwrite: Empty the folder.
        resume: Go on with what is there.
        resumable: Whether the command has `--resume`, so that messages may propose it.
        inputs: Models, tokenizers and data sets of the run, as typed (`PATH:SPLIT` is PATH); those that exist here
            may not lie in a folder to be emptied.

    Raises:
        InputError: the folder is not empty and neither option is given; it is a file, or cannot be written;
            `overwrite` and a folder that ngdiff did not write or that holds an input; both options; `resume` and
            no such folder.
        WriteError: the folder cannot be made.
    """
    path = check_output(folder, overwrite=overwrite, resume=resume, resumable=resumable, inputs=inputs)
    if overwrite and path.is_dir():
        _empty(path)
    make_folder(path)
    remove_leftovers(path)
    return path


def check_output(
    folder: str | Path,
    *,
    overwrite: bool = False,
    resume: bool = False,
    resumable: bool = True,
    inputs: Iterable[str | Path] = (),
) -> Path:
    """The checks of `prepare_output`, for the start of a run: nothing is made or removed yet.

    A run that finds further faults in its input would otherwise have emptied the folder for nothing.

    Raises:
        InputError: as `prepare_output`.
    """
    path = user_path(folder, "--output")
    if overwrite and resume:
        raise InputError("--overwrite and --resume contradict each other; give one of them.")
    if path.exists() and not path.is_dir():
        raise InputError(f"--output {folder}: this is a file; give a folder.")
    _check_writable(path, f"--output {folder}")
    occupied = not is_unused(path)
    if resume:
        _refuse_other_kinds(path)
    if resume and not path.is_dir():  # an empty one may be of a run that was killed before its first file
        raise InputError(f"--resume: {folder} holds no run to continue.")
    if occupied and not (overwrite or resume):
        ways = "--overwrite or --resume" if resumable else "--overwrite"
        raise InputError(f"--output {folder} is not empty; choose another folder, or give {ways}.")
    if occupied and overwrite:
        if not is_ours(path) and any((checkpoint / MANIFEST_COPY).is_file() for checkpoint in checkpoints_of(path)):
            raise InputError(
                f"--overwrite: {folder} holds checkpoints of a run and no {MANIFEST}, which says that all in it is of "
                f"that run. --resume goes on with it and writes {MANIFEST} again from a checkpoint; else delete the "
                "folder yourself or choose another."
            )
        if not is_ours(path):
            raise InputError(
                f"--overwrite: {folder} holds no {MANIFEST} of ngdiff, so its files may be of something "
                "else; delete it yourself or choose another folder."
            )
        for source in inputs:
            if _lies_in(source, path):
                raise InputError(f"--overwrite would delete {source}, which this run reads; choose another --output.")
    return path


def check_file(
    file: str | Path, *, option: str = "--output", overwrite: bool = False, inputs: Iterable[str | Path] = ()
) -> None:
    """Refuse an output file that cannot be written or would replace something, before any long work.

    Args:
        file: The file to be written; `~` is the home directory.
        option: How messages name it.
        overwrite: Replace it.
        inputs: Files that are read, and therefore never replaced.

    Raises:
        InputError: it exists and is not to be replaced, is a folder, device or input, or its folder does not exist.
    """
    path = user_path(file, option)
    if path.is_dir():
        raise InputError(f"{option} {file}: this is a folder; give a file.")
    if not path.parent.is_dir():
        raise InputError(f"{option} {file}: the folder {path.parent} does not exist.")
    _check_writable(path.parent, f"{option} {file}")
    if path.exists():
        check_regular(path, f"{option} {file}")  # a device would be replaced by a file
    if path.exists() and any(path.resolve() == Path(other).resolve() for other in inputs):
        raise InputError(f"{option} {file} is a file that is read; choose another.")
    if path.exists() and not overwrite:
        raise InputError(f"{option} {file} exists; choose another file, or give --overwrite.")


def is_unused(folder: Path) -> bool:
    """Whether a folder is empty or missing; half-written leftovers of a killed run count as nothing."""
    return not folder.is_dir() or all(is_leftover(entry) for entry in folder.iterdir())


def _lies_in(source: str | Path, folder: Path) -> bool:
    path = existing_path(source)
    if path is None:
        return False
    # A data folder may hold links to files in `folder`. (That it holds `folder` itself is no harm.)
    links = [entry for entry in path.iterdir() if entry.is_symlink()] if path.is_dir() else []
    return any(entry.resolve().is_relative_to(folder.resolve()) for entry in (path, *links))


def _check_writable(folder: Path, given: str) -> None:
    """Refuse a folder that may not be written, or not be made."""
    place = next((path for path in (folder, *folder.absolute().parents) if path.exists()), Path("/"))
    if not place.is_dir():
        raise InputError(f"{given}: {place} is a file, so there can be no folder below it.")
    if not os.access(place, os.W_OK | os.X_OK):
        raise InputError(f"{given}: {place} may not be written by this user; choose another place.")
    probe = place / f"{PARTIAL_FOLDER}{os.getpid():08}"  # for some places that is all that tells, /proc among them
    try:
        probe.mkdir()
        probe.rmdir()
    except OSError as error:
        if error.errno not in NO_SPACE:
            raise InputError(f"{given}: nothing can be made in {place} ({error.strerror}); choose another.") from error


def _refuse_other_kinds(folder: Path) -> None:
    """Refuse a folder in place of a file that a run writes, and a file in place of a folder, before the run."""
    for place in (folder, folder / REPORT):
        for entry in sorted(place.iterdir()) if place.is_dir() else []:
            if entry.is_dir() and entry.suffix in _SUFFIXES:
                raise InputError(f"--resume: {entry} is a folder, where a file belongs; move it away")
            if not entry.is_dir() and entry.name in _FOLDERS:
                raise InputError(f"--resume: {entry} is a file, where a folder belongs; move it away")


def _empty(folder: Path) -> None:
    """Remove what is in `folder`, links as links; the manifest last, so that a rest stays recognisable."""
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name == MANIFEST):
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
