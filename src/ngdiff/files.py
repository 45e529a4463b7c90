"""Output folders that are never overwritten by accident, files that are always complete, and hashes of inputs."""

import hashlib
import json
import math
import os
import re
import shutil
import stat
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from ngdiff.checkpoint_places import checkpoints_of
from ngdiff.errors import NO_SPACE, InputError, WriteError
from ngdiff.file_names import BASE_MODEL, CHECKPOINTS, MANIFEST, MANIFEST_COPY, MERGED_BASE, PRIVATE, REFERENCE, RUINED
from ngdiff.paths import check_regular, existing_path, user_path

PARTIAL_FOLDER = ".partial-"  # and eight characters of `tempfile.mkdtemp`: files on their way to a folder
# Of the files of a run, and the names of its folders.
_SUFFIXES = (".json", ".yaml", ".png", ".safetensors")
_FOLDERS = (CHECKPOINTS, PRIVATE, REFERENCE, BASE_MODEL, RUINED, MERGED_BASE)
# What a kill leaves of `write_text` and of a folder of PARTIAL_FOLDER.
_LEFT_FILE = re.compile(r"\..+\.\d+\.partial")
_LEFT_FOLDER = re.compile(re.escape(PARTIAL_FOLDER) + "[a-z0-9_]{8}")


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
    try:
        path.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WriteError(path, error) from error
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


def write_text(path: str | Path, text: str, *, private: bool = False) -> None:
    """Write a UTF-8 file atomically: whatever happens, it is the new one, complete, or the one before.

    Args:
        path: The file.
        text: All of it.
        private: Only its owner may read it (mode 0600); else the umask decides, as for any other file.

    Raises:
        WriteError: the disk is full, or the place cannot be written; the file that was there is untouched.
    """
    write_bytes(path, text.encode(), private=private)


def write_bytes(path: str | Path, content: bytes, *, private: bool = False) -> None:
    """`write_text` of bytes."""
    path = Path(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        try:
            with open_new(partial, private=private) as file:
                file.write(content)
                file.flush()
                # Without this, a power cut after the rename may leave an empty file of the right name.
                os.fsync(file.fileno())
            os.replace(partial, path)
        finally:
            partial.unlink(missing_ok=True)  # it is gone already, unless something above failed
    except OSError as error:
        raise WriteError(path, error, needed=len(content)) from error


def open_new(path: str | Path, mode: str = "wb", *, private: bool = False) -> Any:
    """`open` of a binary file; one that is made belongs to its owner alone where it is `private`."""
    return open(path, mode, opener=lambda name, flags: os.open(name, flags, 0o600 if private else 0o666))


def write_json(path: str | Path, value: Any) -> None:
    """`write_text` of indented JSON.

    Raises:
        ValueError: a NaN or infinity, which JSON cannot write.
        WriteError: as `write_text`.
    """
    write_text(path, json_text(value))


def json_text(value: Any) -> str:
    """What `write_json` writes.

    Raises:
        ValueError: a NaN or infinity.
    """
    return json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n"


def json_lines(records: Iterable[Any]) -> str:
    """Text of a JSON Lines file, a record a line.

    Raises:
        ValueError: a NaN or infinity.
    """
    return "".join(json.dumps(record, ensure_ascii=False, allow_nan=False) + "\n" for record in records)


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


def is_unused(folder: Path) -> bool:
    """Whether a folder is empty or missing; half-written leftovers of a killed run count as nothing."""
    return not folder.is_dir() or all(_is_leftover(entry) for entry in folder.iterdir())


def remove_leftovers(folder: Path) -> None:
    """Remove what killed runs left half-written in an output folder and its `private/`, under names of ours alone."""
    for place in (folder, folder / PRIVATE):
        for entry in list(place.iterdir()) if place.is_dir() and not place.is_symlink() else []:
            if _is_leftover(entry):
                shutil.rmtree(entry) if entry.is_dir() else entry.unlink()


def share_as_usual(folder: str | Path) -> None:
    """Give the files of a folder the permissions that the umask gives to any new file.

    safetensors makes its files readable by their owner alone, whatever the umask says; a server of another user could
    not load the model.
    """
    for file in Path(folder).iterdir():
        if file.is_file() and not file.is_symlink():
            share_file(file)


def share_file(file: Path) -> None:
    """As `share_as_usual`, of one file."""
    umask = os.umask(0o077)  # there is no other way to ask for it
    os.umask(umask)
    file.chmod(0o666 & ~umask)


def without_nan(value: Any) -> Any:
    """The same with None, JSON's null, for each number that is not finite: a log may hold some, JSON may not.

    >>> without_nan({"loss": float("nan"), "fits": [{"rho": 1.0, "ahead": float("inf")}]})
    {'loss': None, 'fits': [{'rho': 1.0, 'ahead': None}]}
    """
    if isinstance(value, Mapping):
        return {name: without_nan(item) for name, item in value.items()}
    if isinstance(value, list | tuple):
        return [without_nan(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value


def sha256_file(path: str | Path) -> str:
    """SHA-256 of a file's bytes, as 64 hexadecimal digits."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def without_runs(files: Iterable[Path], root: Path) -> list[Path]:
    """Those of the files below `root` that do not lie in an output folder of ngdiff below it.

    What a run writes into a folder of data (a card, curves, another model) is no part of that data.
    """
    found = [(file, file.relative_to(root).parents) for file in files]
    folders = {folder for _, parents in found for folder in parents if folder != Path()}
    runs = {folder for folder in folders if is_ours(root / folder)}
    return [file for file, parents in found if runs.isdisjoint(parents)]


def sha256_folder(folder: str | Path, *, pattern: str = "**/*") -> dict[str, str]:
    """SHA-256 of each file below `folder`, by its path relative to `folder` with `/`, in order of that path.

    Hidden files, what lies in hidden folders, and what runs of ngdiff wrote into folders below are left out: they are
    no part of a model or data set, and caches of other programs would change the answer.
    """
    root = Path(folder)
    files = without_runs((file for file in root.glob(pattern) if file.is_file()), root)
    found = {file.relative_to(root).as_posix(): file for file in files}
    return {name: sha256_file(found[name]) for name in sorted(found) if not _is_hidden(name)}


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
    for entry in sorted(folder.iterdir()) if folder.is_dir() else []:
        if entry.is_dir() and entry.suffix in _SUFFIXES:
            raise InputError(f"--resume: {entry} is a folder, where a file belongs; move it away")
        if not entry.is_dir() and entry.name in _FOLDERS:
            raise InputError(f"--resume: {entry} is a file, where a folder belongs; move it away")


def _is_leftover(entry: Path) -> bool:
    kind = entry.lstat().st_mode  # of a link, not of what it names
    if stat.S_ISDIR(kind):
        return _LEFT_FOLDER.fullmatch(entry.name) is not None
    return stat.S_ISREG(kind) and _LEFT_FILE.fullmatch(entry.name) is not None


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") for part in name.split("/"))


def _empty(folder: Path) -> None:
    """Remove what is in `folder`, links as links; the manifest last, so that a rest stays recognisable."""
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name == MANIFEST):
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
