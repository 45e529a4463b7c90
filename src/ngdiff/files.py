"""Output folders that are never overwritten by accident, files that are whole, and hashes of what went in."""

import hashlib
import json
import os
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from ngdiff.errors import InputError
from ngdiff.paths import user_path

MANIFEST = "manifest.json"
BENCHMARK_NAMES = ("tofu", "muse-news")  # what may stand before the folder of a copy


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
    (`ngdiff.manifest.write_manifest`) at the start of a run, so that one which fails can be overwritten.

    Args:
        folder: the output folder; `~` is the home directory.
        overwrite: empty the folder.
        resume: go on with what is there.
        resumable: whether the command has `--resume`, so that messages may propose it.
        inputs: models, tokenizers and data sets of the run, as typed (`PATH:SPLIT` is PATH); those that exist here
            may not lie in a folder to be emptied.

    Raises:
        InputError: the folder is not empty and neither option is given; it is a file; `overwrite` and a
            folder that ngdiff did not write or that holds an input; both options; `resume` and nothing to go
            on from.
    """
    path = check_output(folder, overwrite=overwrite, resume=resume, resumable=resumable, inputs=inputs)
    if overwrite and path.is_dir():
        _empty(path)
    path.mkdir(parents=True, exist_ok=True)
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
    occupied = path.is_dir() and any(path.iterdir())
    if resume and not occupied:
        raise InputError(f"--resume: {folder} holds no run to go on with.")
    if occupied and not (overwrite or resume):
        ways = "--overwrite or --resume" if resumable else "--overwrite"
        raise InputError(f"--output {folder} is not empty; choose another folder, or give {ways}.")
    if occupied and overwrite:
        if not _is_manifest(path / MANIFEST):
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
        file: the file to be written; `~` is the home directory.
        option: how messages name it.
        overwrite: replace it.
        inputs: files that are read, and therefore never replaced.

    Raises:
        InputError: it exists and is not to be replaced, is a folder or an input, or its folder does not exist.
    """
    path = user_path(file, option)
    if path.is_dir():
        raise InputError(f"{option} {file}: this is a folder; give a file.")
    if not path.parent.is_dir():
        raise InputError(f"{option} {file}: the folder {path.parent} does not exist.")
    if path.exists() and any(path.resolve() == Path(other).resolve() for other in inputs):
        raise InputError(f"{option} {file} is a file that is read; choose another.")
    if path.exists() and not overwrite:
        raise InputError(f"{option} {file} exists; choose another file, or give --overwrite.")


def write_text(path: str | Path, text: str) -> None:
    """Write a UTF-8 file that is there as a whole or as it was before, whatever happens on the way.

    Raises:
        OSError: the disk is full, or the place cannot be written; the file that was there is untouched.
    """
    path = Path(path)
    partial = path.with_name(f".{path.name}.{os.getpid()}.partial")
    try:
        with partial.open("w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            # Without this, a power cut after the rename may leave an empty file of the right name.
            os.fsync(file.fileno())
        os.replace(partial, path)
    finally:
        partial.unlink(missing_ok=True)  # it is gone already, unless something above failed


def write_json(path: str | Path, value: Any) -> None:
    """`write_text` of indented JSON.

    Raises:
        ValueError: a NaN or infinity, which JSON cannot write.
    """
    write_text(path, json.dumps(value, indent=2, ensure_ascii=False, allow_nan=False) + "\n")


def existing_path(source: str | Path) -> Path | None:
    """The file or folder here that `PATH` or `PATH:SPLIT` names, also after the name of a benchmark
    (`muse-news:PATH`); None for what can only be a name on the hub.

    The same places as those `ngdiff.data.read_rows` looks in.
    """
    text = str(source)
    first, _, rest = text.partition(":")
    tail = rest if first in BENCHMARK_NAMES else ""
    for name in (text, tail, tail.rpartition(":")[0], text.rpartition(":")[0]):  # earlier colons belong to the path
        if name and user_path(name).exists():
            return user_path(name)
    return None


def sha256_file(path: str | Path) -> str:
    """SHA-256 of a file's bytes, as 64 hexadecimal digits."""
    with Path(path).open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def sha256_folder(folder: str | Path, *, pattern: str = "**/*") -> dict[str, str]:
    """SHA-256 of each file below `folder`, by its path relative to `folder` with `/`, in order of that path.

    Hidden files and what lies in hidden folders are left out: they are no part of a model or data set, and
    caches of other programs would change the answer.
    """
    root = Path(folder)
    found = {file.relative_to(root).as_posix(): file for file in root.glob(pattern) if file.is_file()}
    return {name: sha256_file(found[name]) for name in sorted(found) if not _is_hidden(name)}


def _lies_in(source: str | Path, folder: Path) -> bool:
    path = existing_path(source)
    if path is None:
        return False
    # A data folder may hold links to files in `folder`. (That it holds `folder` itself is no harm.)
    links = [entry for entry in path.iterdir() if entry.is_symlink()] if path.is_dir() else []
    return any(entry.resolve().is_relative_to(folder.resolve()) for entry in (path, *links))


def _is_hidden(name: str) -> bool:
    return any(part.startswith(".") for part in name.split("/"))


def _is_manifest(path: Path) -> bool:
    if not path.is_file():
        return False
    try:
        content = json.loads(path.read_text(encoding="utf-8"))
    except ValueError:
        return False
    versions = content.get("versions") if isinstance(content, dict) else None
    return isinstance(versions, dict) and "ngdiff" in versions


def _empty(folder: Path) -> None:
    """Remove what is in `folder`, links as links; the manifest last, so that a rest stays recognisable."""
    for entry in sorted(folder.iterdir(), key=lambda entry: entry.name == MANIFEST):
        if entry.is_dir() and not entry.is_symlink():
            shutil.rmtree(entry)
        else:
            entry.unlink()
