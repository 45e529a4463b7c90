import hashlib
import json
from dataclasses import replace
from enum import Enum, StrEnum
from importlib.metadata import version
from pathlib import Path
from typing import Any

import pytest
import torch
import yaml

import ngdiff
from ngdiff.checkpoint_places import checkpoint_folder
from ngdiff.data.rows import Row
from ngdiff.manifest import describe_data, describe_model, write_manifest
from ngdiff.output_folder import prepare_output

ROWS = [Row("Where?", "a secret place", origin="f.jsonl, line 1"), Row("Who?", "someone secret")]


def sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def write(output: Path, **changes: Any) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "command": ["ngdiff", "unlearn", "--seed", "3"],
        "config": {"seed": 3, "method": "ngdiff"},
        "data": {"forget": describe_data(None, ROWS)},
        "model": {"source": "owner/model", "revision": None},
        "template": "plain",
        "seed": 3,
    }
    return json.loads(write_manifest(output, **arguments | changes).read_text(encoding="utf-8"))


def test_what_stands_in_it(tmp_path: Path) -> None:
    manifest = write(tmp_path, extra={"epochs": 2})
    assert manifest["versions"]["ngdiff"] == ngdiff.__version__ == version("ngdiff")
    for name in ("torch", "transformers", "accelerate", "datasets", "peft"):
        assert manifest["versions"][name] == version(name)
    assert manifest["utc"].endswith("+00:00")
    assert manifest["command"] == ["ngdiff", "unlearn", "--seed", "3"]
    assert (manifest["seed"], manifest["template"], manifest["extra"]) == (3, "plain", {"epochs": 2})
    assert manifest["model"]["source"] == "owner/model"
    assert manifest["data"]["forget"]["rows"] == 2
    assert manifest["config_sha256"] == sha(tmp_path / "config.yaml")


def test_no_text_of_the_data_is_in_it(tmp_path: Path) -> None:
    path = tmp_path / "f.jsonl"
    path.write_text("".join(json.dumps({"question": row.prompt, "answer": row.answer}) for row in ROWS))
    write(tmp_path, data={"forget": describe_data(path, ROWS)})
    for name in ("manifest.json", "config.yaml"):
        assert "secret" not in (tmp_path / name).read_text(encoding="utf-8")


def test_a_folder_with_it_can_be_overwritten(tmp_path: Path) -> None:
    write(tmp_path)
    prepare_output(tmp_path, overwrite=True)
    assert not list(tmp_path.iterdir())


def test_config_is_plain_and_comes_back(tmp_path: Path) -> None:
    class Choice(Enum):
        ONE = "one"

    class Word(StrEnum):
        TWO = "two"

    config = {
        "b": Choice.ONE,
        "a": (1, 2.5),
        "word": Word.TWO,
        "dtype": torch.bfloat16,
        "path": Path("x", "y"),
        "nested": {"keys": {"b", "a"}, "none": None},
        "template": "Q: {question}\nA: ü {answer}",
    }
    write(tmp_path, config=config)
    assert yaml.safe_load((tmp_path / "config.yaml").read_text(encoding="utf-8")) == {
        "b": "one",
        "a": [1, 2.5],
        "word": "two",
        "dtype": "torch.bfloat16",
        "path": str(Path("x", "y")),
        "nested": {"keys": ["a", "b"], "none": None},
        "template": "Q: {question}\nA: ü {answer}",
    }


def test_secrets_are_left_out(tmp_path: Path) -> None:
    command = ["ngdiff", "--hub-token", "hf_abc", "--hub_token=hf_abc", "--pad-token-id", "5", "--token"]
    manifest = write(tmp_path, command=command, config={"hub_token": "hf_abc", "pad_token_id": 5})
    shown = ["ngdiff", "--hub-token", "***", "--hub_token=***", "--pad-token-id", "5", "--token"]
    assert manifest["command"] == shown
    assert yaml.safe_load((tmp_path / "config.yaml").read_text()) == {"pad_token_id": 5}


@pytest.mark.parametrize(
    "rows",
    [
        ROWS[::-1],
        ROWS[:1],
        [*ROWS, ROWS[0]],
        [replace(ROWS[0], answer="another"), ROWS[1]],
        [replace(ROWS[0], prompt="Where? "), ROWS[1]],
        [replace(ROWS[0], perturbed_answers=("no",)), ROWS[1]],
        [replace(ROWS[0], paraphrased_answer="no"), ROWS[1]],
        [replace(ROWS[0], kind="completion"), ROWS[1]],
    ],
)
def test_other_rows_have_another_hash(rows: list[Row]) -> None:
    assert describe_data(None, rows)["rows_sha256"] != describe_data(None, ROWS)["rows_sha256"]


def test_the_place_of_a_row_does_not_count() -> None:
    moved = [replace(row, origin="elsewhere") for row in ROWS]
    assert describe_data(None, moved) == describe_data(None, ROWS)


def test_rows_of_conversations_are_hashed() -> None:
    turns = ({"role": "user", "content": "Where?"},)
    row = Row("Where?", "There.", messages=turns, kind="messages")
    other = replace(row, messages=({"role": "system", "content": "Be kind."}, *turns))
    assert describe_data(None, [row])["rows_sha256"] != describe_data(None, [other])["rows_sha256"]


def test_files_of_data(tmp_path: Path) -> None:
    path = tmp_path / "f.jsonl"
    path.write_text("{}")
    for source in (path, str(path), f"{path}:train"):
        assert describe_data(source, ROWS)["files"] == {"f.jsonl": sha(path)}
        assert describe_data(source, ROWS)["source"] == str(source)
    for source in (tmp_path, f"{tmp_path}:forget10"):
        assert describe_data(source, ROWS)["files"] == {"f.jsonl": sha(path)}
    assert describe_data("owner/data:train", ROWS)["files"] == {}


def test_files_of_a_model(tmp_path: Path) -> None:
    model = tmp_path / "model"
    checkpoint_folder(model, 3).mkdir(parents=True)
    written = (
        "config.json",
        "model.safetensors",
        "tokenizer.json",
        "manifest.json",
        "metrics.json",
        "loss.png",
    )
    for name in (*written, "checkpoints/checkpoint-3/model.safetensors"):
        (model / name).write_text(name)
    found = describe_model(model)
    assert found["source"] == str(model)
    assert list(found["files"]) == ["config.json", "model.safetensors", "tokenizer.json"]
    assert found["files"]["config.json"] == sha(model / "config.json")


def test_a_model_that_is_no_folder(tmp_path: Path) -> None:
    assert describe_model("owner/model", revision="abc") == {"source": "owner/model", "revision": "abc"}
    shape = tmp_path / "config.json"
    shape.write_text("{}")
    assert describe_model(shape)["files"] == {"config.json": sha(shape)}
