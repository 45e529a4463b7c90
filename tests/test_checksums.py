"""`SHA256SUMS`: what coreutils read, and every change of a byte."""

import shutil
import subprocess

import pytest

from ngdiff.checksums import LIST, write_checksums, wrong_files


@pytest.fixture
def folder(tmp_path):
    root = tmp_path / "checkpoint-3"
    (root / "shards").mkdir(parents=True)
    (root / "model.safetensors").write_bytes(bytes(range(256)))
    (root / "shards" / ".metadata").write_bytes(b"hidden files of sharded weights count")
    (root / "empty").write_bytes(b"")
    write_checksums(root)
    return root


def test_whole(folder):
    assert wrong_files(folder) == []
    assert [line[66:] for line in (folder / LIST).read_text().splitlines()] == [
        "empty",
        "model.safetensors",
        "shards/.metadata",
    ]


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="needs coreutils")
def test_coreutils_read_the_list(folder):
    check = ["sha256sum", "--check", "--strict", "--quiet", LIST]
    assert subprocess.run(check, cwd=folder, check=False).returncode == 0
    (folder / "empty").write_text("no longer")
    assert subprocess.run(check, cwd=folder, check=False, capture_output=True).returncode == 1


@pytest.mark.parametrize("at", [0, 100, 255])
def test_a_flipped_bit(folder, at):
    content = bytearray((folder / "model.safetensors").read_bytes())
    content[at] ^= 4
    (folder / "model.safetensors").write_bytes(content)
    (found,) = wrong_files(folder)
    assert found.startswith(
        "model.safetensors is damaged: expected SHA-256 40aff2e9d2d8922e47afd4648e6967497158785fbd1d"
    )
    assert ", found " in found


def test_missing_and_more(folder):
    (folder / "more").write_text("files that the list does not name are no part of it")
    (folder / "empty").unlink()
    shutil.rmtree(folder / "shards")
    assert wrong_files(folder) == ["empty is missing", "shards/.metadata is missing"]


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (None, "SHA256SUMS is missing or cannot be read: the files here were not completely written"),
        (b"", "SHA256SUMS is empty"),
        (b"\xff\xfe", "SHA256SUMS is missing or cannot be read: the files here were not completely written"),
        (b"0123  empty\n", "SHA256SUMS, line 1: not a SHA-256 and a name"),
        (b"x" * 64 + b"  empty\n", "SHA256SUMS, line 1: not a SHA-256 and a name"),
        (b"0" * 64 + b"  \n", "SHA256SUMS, line 1: not a SHA-256 and a name"),
    ],
)
def test_a_list_that_is_none(folder, content, message):
    if content is None:
        (folder / LIST).unlink()
    else:
        (folder / LIST).write_bytes(content)
    assert wrong_files(folder) == [message]


def test_a_list_cut_short_at_any_byte_is_seen(folder):
    whole = (folder / LIST).read_bytes()
    for size in range(len(whole) - 1):  # without its last newline it still says all
        (folder / LIST).write_bytes(whole[:size])
        assert wrong_files(folder) or whole[:size].count(b"\n") < 3, size
