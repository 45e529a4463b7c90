"""A disk that is full: helpers of the tests that write to one.

A limit on the size of files (`RLIMIT_FSIZE`) stands for the disk, so that the errors are real ones of the system, of
`torch.save`, of safetensors and of tokenizers.
"""

import re
import signal
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from ..end_to_end.runs import Outcome, run, succeeded

resource = pytest.importorskip("resource", reason="limits on the size of a file need a POSIX system")


class Disk:
    """A disk that is full from the first file on that is opened for writing and is `named` by a test."""

    def __init__(self) -> None:
        self.named: Callable[[Path], bool] | None = None
        self.opened: list[Path] = []
        self.limits = resource.getrlimit(resource.RLIMIT_FSIZE)

    def hear(self, event: str, arguments: tuple[Any, ...]) -> None:
        if event != "open" or self.named is None or not isinstance(arguments[0], str | Path):
            return
        path, mode, flags = Path(arguments[0]), arguments[1], arguments[2]
        if not ({"w", "a", "x", "+"} & set(mode or "") or (flags or 0) & 3):
            return
        self.opened.append(path)
        if self.named(path):
            resource.setrlimit(resource.RLIMIT_FSIZE, (0, self.limits[1]))

    def empty(self) -> None:
        self.named = None
        resource.setrlimit(resource.RLIMIT_FSIZE, self.limits)


DISK = Disk()
_heard = False


@pytest.fixture
def disk() -> Iterator[Disk]:
    """Python has no way to remove an audit hook: one serves all tests, and hears nothing between them."""
    global _heard
    if not _heard:
        sys.addaudithook(DISK.hear)
        _heard = True
    before = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # the default ends the process
    DISK.opened.clear()
    try:
        yield DISK
    finally:
        DISK.empty()
        signal.signal(signal.SIGXFSZ, before)


def run_on(disk: Disk, named: Callable[[Path], bool], words: list[Any]) -> Outcome:
    """A command on a disk that is full from the first of the files on that are `named`."""
    disk.named = named
    try:
        return run(*words)
    finally:
        disk.empty()


@contextmanager
def largest_file(disk: Disk, size: int) -> Iterator[None]:
    """Within, no file can have more than `size` bytes: for files that libraries open on their own."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, disk.limits[1]))
    try:
        yield
    finally:
        disk.empty()


def name_of(path: Path) -> str:
    """Of the file that a half-written one will be."""
    found = re.fullmatch(r"\.(.+)\.\d+\.partial", path.name)
    return path.name if found is None else found[1]


def one_of(folder: Path, name: str) -> Callable[[Path], bool]:
    """Whether a file lies below a folder and has this name, or will have it."""
    return lambda path: path.is_relative_to(folder) and name_of(path) == name


def files_of(disk: Disk, folder: Path, words: list[Any]) -> list[str]:
    """Names of the files that a command opens below a folder, in order, each once."""
    disk.named = lambda path: False
    try:
        succeeded(run(*words))
    finally:
        disk.empty()
    return list(dict.fromkeys(name_of(path) for path in disk.opened if path.is_relative_to(folder)))


def assert_told(outcome: Outcome, folder: Path, file: str, then: str) -> None:
    """One line: the place, the reason, and what to do."""
    assert outcome.status == 1, outcome.err
    assert str(folder) in outcome.error
    assert "could not be written" in outcome.error, (file, outcome.error)
    assert "File too large" in outcome.error or "iostream error" in outcome.error, (file, outcome.error)
    assert re.search(f"{then}$", outcome.error), (file, outcome.error)
    assert not [path for path in folder.rglob("*") if "partial" in path.name and "private" not in path.parts], file
