"""Paths that no file can have, and what must not be read."""

import os
import re
from pathlib import Path

import pytest

from ngdiff.errors import InputError
from ngdiff.paths import absolute_source, check_regular, full_path, user_path


def test_home_directories(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    assert user_path("~/a/b") == tmp_path / "a/b"
    assert user_path(Path("a")) == Path("a")
    with pytest.raises(InputError, match=r"^--model ~nosuchuser/m: there is no home directory of that name$"):
        user_path("~nosuchuser/m", "--model")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a\0b", r"'a\\x00b': a NUL byte cannot be part of a path"),
        ("\udcff.jsonl", r"the name is not UTF-8 text; rename it"),
        ("x" * 300, r"x: cannot be looked up \(File name too long\)"),
    ],
)
def test_names_that_no_file_can_have(text: str, message: str) -> None:
    with pytest.raises(InputError, match=message):
        user_path(text)


def test_a_full_path(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "far" / "inner").mkdir(parents=True)
    (tmp_path / "sub").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "far" / "inner")
    monkeypatch.chdir(tmp_path / "sub")
    assert full_path("../far") == full_path(tmp_path / "sub" / ".." / "far") == tmp_path / "far"
    assert full_path("../not there/.") == tmp_path / "not there"
    assert full_path("../link") == tmp_path / "link"  # as its user calls it
    assert full_path("../link/..") == tmp_path / "far"  # not the folder that the link lies in
    (tmp_path / "far" / "rows.jsonl").touch()
    assert absolute_source("../far/rows.jsonl:train") == f"{tmp_path}/far/rows.jsonl:train"
    assert absolute_source("../far/*.jsonl") == f"{tmp_path}/far/*.jsonl"


def test_links_in_a_circle(tmp_path: Path) -> None:
    (tmp_path / "a").symlink_to(tmp_path / "b")
    (tmp_path / "b").symlink_to(tmp_path / "a")
    with pytest.raises(InputError, match=re.escape(f"{tmp_path / 'a'}: cannot be looked up (Too many levels")):
        user_path(tmp_path / "a")


def test_what_is_no_regular_file(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    for path, kind in ((tmp_path / "pipe", "a named pipe"), (Path("/dev/null"), "a device"), (tmp_path, "a folder")):
        with pytest.raises(InputError, match=f"^{path}: is no regular file but {kind}$"):
            check_regular(path)
    (tmp_path / "file").touch()
    check_regular(tmp_path / "file")
