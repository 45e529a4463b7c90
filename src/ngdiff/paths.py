"""Paths as users type them, and a check for regular files."""

import errno
import glob
import os
import stat
from pathlib import Path

from ngdiff.errors import InputError

BENCHMARK_NAMES = ("tofu", "muse-news")  # prefixes of the folder of a copy
# Errors that mean that a file does not exist; all others prevent finding out.
_ABSENT = (errno.ENOENT, errno.ENOTDIR)
_KINDS = {
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
    stat.S_IFBLK: "a device",
    stat.S_IFDIR: "a folder",
}


def user_path(text: str | Path, option: str | None = None) -> Path:
    """`text` as a path with `~` and `~user` expanded; it need not exist.

    Args:
        text: As typed.
        option: The option to which it was given, at the start of messages.

    Raises:
        InputError: an empty text; an unknown home directory; a name that no file can have (too long, with a NUL byte,
            not UTF-8); circular links; a parent folder without permission.

    >>> user_path("data/forget.jsonl").name
    'forget.jsonl'
    """
    name = os.fspath(text)
    if not name:
        raise InputError("a path is empty; give one" if option is None else f"{option} is empty; give a path")
    shown = name if option is None else f"{option} {name}"
    try:
        path = Path(name).expanduser()
    except RuntimeError as error:
        raise InputError(f"{shown}: there is no home directory of that name") from error
    if "\0" in name:
        raise InputError(f"{shown!r}: a NUL byte cannot be part of a path")
    try:
        os.fspath(path).encode()
    except UnicodeEncodeError as error:
        raise InputError(f"{shown!r}: the name is not UTF-8 text; rename it") from error
    try:
        path.stat()
    except OSError as error:
        if error.errno not in _ABSENT:
            raise InputError(f"{shown}: cannot be looked up ({error.strerror or error})") from error
    return path


def full_path(path: str | Path) -> Path:
    """The absolute path, without `..`. Links keep their names, except for one that `..` stands behind.

    >>> str(full_path("/models/new/../old/./a"))
    '/models/old/a'
    """
    absolute = Path(path).absolute()
    plain = Path(os.path.abspath(absolute))
    # Behind a link, `..` is the folder above what it links to.
    return plain if plain.resolve() == absolute.resolve() else absolute.resolve()


def check_regular(path: Path, name: str | Path | None = None) -> None:
    """Refuse a path that is not a regular file: reading a pipe or a device may never end.

    Args:
        path: A path that exists.
        name: Its name in messages; the path itself by default.

    Raises:
        InputError: a folder, pipe, socket or device.
        OSError: the path does not exist or may not be accessed.
    """
    mode = path.stat().st_mode
    if not stat.S_ISREG(mode):
        kind = _KINDS.get(stat.S_IFMT(mode), "of another kind")
        raise InputError(f"{path if name is None else name}: is no regular file but {kind}")


def is_pattern(source: str | Path) -> bool:
    """Whether a source names files by a pattern with `*` or `?`; what exists by that very name is none."""
    return any(sign in str(source) for sign in "*?") and not user_path(source).exists()


def matching_files(pattern: str | Path) -> list[Path]:
    """The regular files that a pattern names, in the order of their paths; `**` is any number of folders.

    Raises:
        InputError: as `user_path`.
    """
    found = (Path(name) for name in glob.iglob(os.fspath(user_path(pattern)), recursive=True))
    return sorted(path for path in found if path.is_file())


def existing_path(source: str | Path) -> Path | None:
    """The file or folder here that `PATH` or `PATH:SPLIT` names, also after the name of a benchmark
    (`muse-news:PATH`), of a pattern the folder that all its files are below; None for what can only be a name on the
    hub.

    The same places as those `ngdiff.data.read_rows` looks in.
    """
    found = _path_in(str(source))
    return None if found is None else user_path(found[1])


def absolute_source(source: str | Path) -> str | None:
    """A data source or model with its full path, to be read from any folder; None for a name on the hub.

    >>> absolute_source("owner/data:train")
    """
    found = _path_in(str(source))
    return None if found is None else f"{found[0]}{full_path(user_path(found[1]))}{found[2]}"


def _path_in(text: str) -> tuple[str, str, str] | None:
    """What stands before the path in a source, the path, and what stands behind it; None where none is there."""
    first, _, rest = text.partition(":")
    head, tail = (f"{first}:", rest) if first in BENCHMARK_NAMES else ("", "")
    if is_pattern(text):
        folder, rest = _at_pattern(text)
        return ("", folder, rest) if user_path(folder).is_dir() else None
    places = [("", text, ""), (head, tail, ""), (head, *_without_split(tail)), ("", *_without_split(text))]
    for before, name, split in places:
        if name and user_path(name).exists():
            return before, name, split
    return None


def _at_pattern(text: str) -> tuple[str, str]:
    """The folder in front of the first part of a path that holds a `*` or a `?`, and the rest.

    >>> _at_pattern("a/b/**/*.md"), _at_pattern("*.txt"), _at_pattern("/x?/y")
    (('a/b', '/**/*.md'), ('.', '/*.txt'), ('/', 'x?/y'))
    """
    fixed = text[: min(text.index(sign) for sign in "*?" if sign in text)]
    folder, slash, _ = fixed.rpartition("/")
    if folder or not slash:
        return folder or ".", text[len(folder) :] if folder else f"/{text}"
    return slash, text[1:]


def _without_split(text: str) -> tuple[str, str]:
    path, colon, split = text.rpartition(":")  # earlier colons belong to the path
    return path, colon + split
