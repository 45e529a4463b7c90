"""Files that are always complete."""

import json
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ngdiff.writing import share_as_usual, write_json, write_text


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


@pytest.mark.parametrize("umask", [0o022, 0o002, 0o077])
def test_permissions_follow_the_umask_but_of_private_files(tmp_path: Path, umask: int) -> None:
    before = os.umask(umask)
    try:
        write_text(tmp_path / "shared", "")
        write_text(tmp_path / "private", "", private=True)
        (tmp_path / "weights").touch(mode=0o600)
        share_as_usual(tmp_path)
        write_text(tmp_path / "private", "once more", private=True)
    finally:
        os.umask(before)
    found = {path.name: path.stat().st_mode & 0o777 for path in tmp_path.iterdir()}
    assert found == {"shared": 0o666 & ~umask, "weights": 0o666 & ~umask, "private": 0o600}
    assert os.umask(before) == before


def test_text_comes_back(tmp_path: Path) -> None:
    @given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
    def check(text: str) -> None:
        write_text(tmp_path / "file", text)
        assert (tmp_path / "file").read_bytes() == text.encode()
        assert names(tmp_path) == {"file"}

    check()


def test_permissions_are_those_of_any_new_file(tmp_path: Path) -> None:
    write_text(tmp_path / "ours", "")
    (tmp_path / "other").write_text("")
    assert (tmp_path / "ours").stat().st_mode == (tmp_path / "other").stat().st_mode


@pytest.mark.parametrize("step", ["fsync", "replace"])
def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str) -> None:
    path = tmp_path / "file"
    write_text(path, "old")

    def full(*args: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, step, full)
    with pytest.raises(OSError, match="No space left"):
        write_text(path, "new")
    assert path.read_text() == "old"
    assert names(tmp_path) == {"file"}


def test_json(tmp_path: Path) -> None:
    write_json(tmp_path / "file", {"a": [1, 2.5, None, "ü"]})
    assert json.loads((tmp_path / "file").read_text(encoding="utf-8")) == {"a": [1, 2.5, None, "ü"]}
    with pytest.raises(ValueError, match="not JSON compliant"):
        write_json(tmp_path / "file", float("nan"))
    assert names(tmp_path) == {"file"}
