"""Errors with messages for users: bad input, a file that cannot be written, a signal."""

import errno
import re
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path


class InputError(ValueError):
    """Bad input: a file, row, option or value that ngdiff cannot use.

    The message names what was found and what would be accepted. The command line prints it alone, without a
    traceback, and exits with status 2.
    """


@contextmanager
def named(place: str) -> Iterator[None]:
    """For a `with` block: messages of `InputError` begin with the option, or whatever else, that they are about.

    Args:
        place: Such as `--before`; empty: they stay as they are.

    >>> with named("--before"):
    ...     raise InputError("x: no such file")
    Traceback (most recent call last):
    ngdiff.errors.InputError: --before x: no such file
    """
    try:
        yield
    except InputError as error:
        raise (InputError(f"{place} {error}") if place else error) from error.__cause__


NO_SPACE = (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)


class WriteError(OSError):
    """A file could not be written. The message says which, why, how much space it needs, and what can be done.

    The command line prints it alone, without a traceback, and exits with status 1.

    Args:
        path: The file or folder.
        reason: The error of the system or of a library.
        needed: Its size in bytes, if known.
        what: A description of the contents, if the path does not suffice.
        advice: What is safe, and what can be done.

    Attributes:
        then: What to do once there is space; set by the command line.

    >>> error = WriteError(Path("/"), "disk full", needed=2_500_000_000, what="the model", advice="free some space")
    >>> str(error)
    'the model could not be written to / (disk full; 2.5 GB are needed, ... are free there); free some space'
    >>> str(WriteError(Path("/no/model"), OSError(errno.EROFS, "Read-only file system")))
    '/no/model could not be written (Read-only file system)'
    """

    def __init__(
        self, path: Path, reason: object, *, needed: int | None = None, what: str | None = None, advice: str = ""
    ) -> None:
        super().__init__()
        self.path, self.what, self.needed, self.advice, self.then = path, what, needed, advice, ""
        self.reason, self.free = str(reason), None
        if isinstance(reason, OSError) and reason.errno is not None:
            # Without the file's name, which is often that of a temporary file.
            self.errno, self.reason = reason.errno, reason.strerror or str(reason)
        elif found := re.search(r"\(os error (\d+)\)", self.reason):  # a library in Rust
            self.errno = int(found[1])
        if self.errno in (None, errno.ENOSPC):  # under a quota or a limit on file sizes, free space is irrelevant
            self.free = _free(path)

    @property
    def lacks_space(self) -> bool:
        """Whether the cause may be a lack of space; libraries do not always report the number of the error."""
        return self.errno is None or self.errno in NO_SPACE

    def __str__(self) -> str:
        sizes = [] if self.needed is None or not self.lacks_space else [f"{_size(self.needed)} are needed"]
        sizes += [] if self.free is None else [f"{_size(self.free)} are free there"]
        found = "; ".join([self.reason, *([", ".join(sizes)] if sizes else [])])
        subject, where = (self.path, "") if self.what is None else (self.what, f" to {self.path}")
        first = "free some space" if self.lacks_space else "mend that"
        then = f"{first} and {self.then}" if self.then else ""
        return "; ".join(filter(None, [f"{subject} could not be written{where} ({found})", self.advice, then]))


class StoppedBySignal(Exception):
    """A run was asked to stop; its checkpoint is written.

    Args:
        by: Name of the signal, or None in a process that was informed by another one.
        checkpoint: Folder of the checkpoint.
        step: Number of completed steps.
        steps: Steps of the whole run.
        resumable: Whether a run can continue from the checkpoint.
    """

    def __init__(self, by: str | None, checkpoint: Path, step: int, steps: int, *, resumable: bool = True) -> None:
        what = "is written" if resumable else "holds the weights alone (--save-only-model): no run can continue from it"
        super().__init__(f"stopped by {by or 'a signal'} after step {step} of {steps}; {checkpoint} {what}")
        self.resumable = resumable


def _free(path: Path) -> int | None:
    """Free bytes on the file system of `path`, which need not exist."""
    place = next((folder for folder in (path, *path.parents) if folder.exists()), None)
    return None if place is None else shutil.disk_usage(place).free


def _size(count: int) -> str:
    """A number of bytes with a unit.

    >>> _size(999), _size(120_000), _size(2_510_000_000)
    ('999 bytes', '120.0 kB', '2.5 GB')
    """
    for unit, width in (("GB", 1e9), ("MB", 1e6), ("kB", 1e3)):
        if count >= width:
            return f"{count / width:.1f} {unit}"
    return f"{count} bytes"


class VerdictError(Exception):
    """The command completed and wrote its outputs, but its result is a failure.

    The command line prints only the message and exits with `status`.

    Args:
        message: The result.
        status: One of `ngdiff.exit_codes`.
    """

    def __init__(self, message: str, status: int) -> None:
        super().__init__(message)
        self.status = status


class RuinedModelError(Exception):
    """A run completed, but its model is ruined and was saved under another name.

    The message says why and where. The command line prints only the message and exits with status 3.
    """
