"""A repeated run beside the recorded one."""

import json
from pathlib import Path
from typing import Any

import pytest

from ngdiff.evidence.replayed import differing_files, model_files, unlike_places
from ngdiff.hashes import sha256_file

HERE = {
    "versions": {"torch": "2.9"},
    "device": "cpu",
    "hardware": {"machine": "x86_64", "cores": 8, "threads": 4, "accelerators": [], "deterministic": False},
}


def place(**hardware: Any) -> dict[str, Any]:
    return {**HERE, "hardware": {**HERE["hardware"], **hardware}}


@pytest.mark.parametrize(
    ("then", "reasons"),
    [
        (HERE, []),
        (place(cores=2), []),
        (place(threads=2), ["threads: 2 then, 4 now"]),
        ({**HERE, "versions": {"torch": "2.8"}}, ["torch: 2.8 then, 2.9 now"]),
        ({**HERE, "extra": {"processes": 2}}, ["processes: 2 then, 1 now"]),
        (
            {**place(accelerators=["H200"]), "device": "H200"},
            [
                "device: H200 then, cpu now",
                "accelerators: H200 then, none now",
                "the run was on an accelerator without --full-determinism",
            ],
        ),
    ],
)
def test_why_bits_may_differ(then: dict[str, Any], reasons: list[str]) -> None:
    assert unlike_places(then, HERE) == reasons


def test_an_accelerator_that_was_deterministic_gives_the_same_bits() -> None:
    same = place(accelerators=["H200"], deterministic=True)
    assert unlike_places(same, place(accelerators=["H200"])) == []


def written(folder: Path, files: dict[str, str]) -> dict[str, Any]:
    for name, text in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_text(text)
    return {"outputs": {name: sha256_file(folder / name) for name in files}}


def test_the_files_of_the_model_are_compared_and_no_others(tmp_path: Path) -> None:
    adapter = {"base_model_name_or_path": "a", "target_modules": ["q", "k"], "r": 2}
    moved = {**adapter, "base_model_name_or_path": "b", "target_modules": ["k", "q"]}
    one = {"model.safetensors": "w", "vocab.txt": "t", "adapter_config.json": json.dumps(adapter), "config.json": "{}"}
    rest = {"README.md": "1", "report/curves.png": "1", "report/training_log.json": "1", "private/x.json": "1"}
    other = {**one, "adapter_config.json": json.dumps(moved), **dict.fromkeys(rest, "2")}
    then, now = written(tmp_path / "one", {**one, **rest}), written(tmp_path / "two", other)
    folders = (tmp_path / "one", tmp_path / "two")
    assert model_files(then).keys() == one.keys()
    assert differing_files(folders[0], then, folders[1], now) == dict.fromkeys(one, "")
    del other["config.json"]
    changed = {
        **other,
        "model.safetensors": "v",
        "adapter_config.json": json.dumps({**moved, "r": 3}),
        "new.json": "{}",
    }
    now = written(tmp_path / "three", changed)
    found = differing_files(folders[0], then, tmp_path / "three", now)
    assert found["vocab.txt"] == ""
    assert found["config.json"] == "was not written again"
    assert found["new.json"] == "was not written by the recorded run"
    assert found["model.safetensors"].startswith(f"expected SHA-256 {then['outputs']['model.safetensors']}, found ")
    assert found["adapter_config.json"].startswith("expected SHA-256 ")
