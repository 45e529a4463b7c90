"""Files of the sets of a page."""

import hashlib
import subprocess
from pathlib import Path

from ngdiff.hashes import sha256_folder
from ngdiff.report.listed_files import MOST_FILES, listed_files


def some(count: int, name: str = "image") -> dict[str, str]:
    return {
        f"{name}{number:04d}.png": hashlib.sha256(f"{name}{number}".encode()).hexdigest() for number in range(count)
    }


def test_what_several_sets_were_read_from_is_listed_once() -> None:
    folder, other = {"source": "pets", "files": some(3)}, {"source": "a.jsonl", "files": some(1, "rows")}
    found = listed_files({"forget": folder, "retain": other, "holdout": folder, "test": dict(folder)})
    assert {role: files.same_as for role, files in found.items()} == {
        "forget": "",
        "retain": "",
        "holdout": "forget",
        "test": "forget",
    }
    assert found["forget"].shown == folder["files"]
    assert found["retain"].shown == other["files"]
    assert not found["holdout"].shown
    assert found["holdout"].total == 3


def test_sets_without_files_are_not_the_same() -> None:
    """From the hub, or made in memory."""
    found = listed_files({"forget": {"source": "cifar10", "files": {}}, "retain": {}})
    assert [(files.total, files.same_as, files.sha256) for files in found.values()] == [(0, "", ""), (0, "", "")]


def test_of_a_large_folder_the_first_files_and_a_hash_of_all() -> None:
    whole, large = some(MOST_FILES), some(MOST_FILES + 1)
    found = listed_files({"forget": {"files": whole}, "retain": {"files": large}})
    assert found["forget"].shown == whole
    assert found["forget"].sha256 == ""
    assert found["retain"].shown == whole  # the first of them
    assert found["retain"].total == MOST_FILES + 1
    changed = listed_files({"retain": {"files": large | {list(large)[-1]: "0" * 64}}})
    assert changed["retain"].shown == found["retain"].shown
    assert changed["retain"].sha256 != found["retain"].sha256


def test_the_hash_of_all_is_that_of_sha256sum(tmp_path: Path) -> None:
    for number in range(MOST_FILES + 1):
        (tmp_path / f"{number:03d}.txt").write_text(str(number))
    files = sha256_folder(tmp_path)
    theirs = subprocess.run(["sha256sum", *files], cwd=tmp_path, capture_output=True, check=True).stdout
    assert listed_files({"forget": {"files": files}})["forget"].sha256 == hashlib.sha256(theirs).hexdigest()
