"""Hashes of files and folders."""

import hashlib
import os
from pathlib import Path

from ngdiff.hashes import sha256_file, sha256_folder


def test_hash_of_a_large_file(tmp_path: Path) -> None:
    content = os.urandom(3_000_001)
    (tmp_path / "file").write_bytes(content)
    assert sha256_file(tmp_path / "file") == hashlib.sha256(content).hexdigest()


def test_hashes_of_a_folder(tmp_path: Path) -> None:
    for name in ("b", "a/z", "a/.hidden", ".git/config"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(name)
    found = sha256_folder(tmp_path)
    assert list(found) == ["a/z", "b"]
    assert found["b"] == hashlib.sha256(b"b").hexdigest()
    assert list(sha256_folder(tmp_path, pattern="*")) == ["b"]
