"""`ngdiff unlearn --dry-run`."""

import shutil
from typing import Any

import pytest

from ngdiff.cli import overlap, text_model
from ngdiff.tasks import text_rows

from .runs import everything_in, run, succeeded, write_rows


@pytest.fixture
def bare(material, tmp_path):
    """The material's model without its weights."""
    folder = tmp_path / "bare"
    shutil.copytree(material.model, folder, ignore=shutil.ignore_patterns("*.safetensors", "private", "checkpoint*"))
    return folder


def test_it_needs_no_weights_and_writes_nothing(material, bare, tmp_path):
    before = everything_in(tmp_path)
    done = succeeded(run(*material.words(tmp_path / "out", "--dry-run", model=bare)))
    assert "Estimated peak memory: " in done.out
    assert "Estimated time: " in done.out
    assert everything_in(tmp_path) == before
    assert not (tmp_path / "out").exists()
    refused = run(*material.words(tmp_path / "out", model=bare))
    assert "no weights in this folder" in refused.error


def test_a_shape_with_a_tokenizer_and_without(material, tmp_path):
    own = succeeded(run(*material.words(tmp_path / "out", "--dry-run", model="llama-micro")))
    assert "a shape without a tokenizer" in own.out
    given = succeeded(
        run(*material.words(tmp_path / "out", "--dry-run", model="llama-micro", tokenizer=material.model))
    )
    assert "a shape without a tokenizer" not in given.out


def test_a_folder_with_a_config_alone_gets_a_tokenizer(bare, material, tmp_path):
    for file in bare.glob("tokenizer*"):
        file.unlink()
    assert "has no tokenizer" in succeeded(run(*material.words(tmp_path / "out", "--dry-run", model=bare))).out
    refused = run(*material.words(tmp_path / "out", model=bare))
    assert "no tokenizer in this folder" in refused.error


@pytest.mark.parametrize("method", ["idk", "altpo", pytest.param("dpo", marks=pytest.mark.slow)])
def test_objectives_that_teach_another_answer(method, material, tmp_path):
    done = succeeded(run(*material.words(tmp_path / "out", "--dry-run", method=method)))
    assert "forget pass" in done.out


def test_parts_follow_the_options(material, tmp_path):
    words = material.words(tmp_path / "out", "--dry-run")
    found, fixed = (succeeded(run(*words, *more)).out for more in ([], ["--learning-rate", "1e-4"]))
    assert "probe of the learning rate" in found
    assert "probe" not in fixed


def test_several_processes_without_any(material, tmp_path, monkeypatch):
    for name, value in {"WORLD_SIZE": "4", "RANK": "0", "LOCAL_RANK": "0"}.items():
        monkeypatch.setenv(name, value)
    words = material.words(tmp_path / "out", "--dry-run", learning_rate=1e-4)
    whole, shared = (succeeded(run(*words, *more)).out for more in ([], ["--fsdp"]))
    assert "of each of 4 processes" in whole
    assert "buckets of DDP" in whole
    assert "gathered weights" in shared
    monkeypatch.setenv("RANK", "1")
    assert succeeded(run(*words)).out == ""


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"forget": "nowhere.jsonl"}, "nowhere.jsonl"),
        ({"model": "./nowhere"}, "no such folder"),
        ({"dtype": "float8"}, "dtype"),
        ({"method": "magic"}, "magic"),
        ({"max_length": 100_000}, "--max-length 100000"),
        ({"lora_rank": -1}, "--lora-rank -1"),
        ({"forget_ceiling": "holdout"}, "holdout"),
        ({"gradient_buffers": 3}, "--gradient-buffers 3"),
    ],
)
def test_bad_input_is_refused_as_by_the_run(options, message, material, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    refused = run(*material.words(tmp_path / "out", "--dry-run", **options))
    assert refused.status == 2
    assert message in refused.error
    assert refused.out == ""
    assert not (tmp_path / "out").exists()


def test_a_full_folder_and_rows_of_both_sets_are_refused(material, tmp_path):
    (tmp_path / "out").mkdir()
    (tmp_path / "out" / "notes.txt").write_text("mine")
    assert run(*material.words(tmp_path / "out", "--dry-run")).status == 2
    both = write_rows(tmp_path / "both.jsonl", [{"question": "a?", "answer": "b"}])
    assert run(*material.words(tmp_path / "other", "--dry-run", forget=both, retain=both)).status == 2


def test_templates_are_resolved_and_sets_compared_once(material, tmp_path, monkeypatch):
    calls: list[str] = []

    def counted(module: Any, name: str) -> None:
        original = getattr(module, name)
        monkeypatch.setattr(module, name, lambda *args, **more: calls.append(name) or original(*args, **more))

    for module in (text_model, text_rows):
        counted(module, "resolve_template")
    for module in (overlap, text_rows):
        counted(module, "check_overlap")
    succeeded(run(*material.words(tmp_path / "out", "--dry-run")))
    assert sorted(calls) == ["check_overlap", "resolve_template"]


def test_images_and_tokenizers_of_real_runs_are_refused(material, tmp_path):
    refused = run("unlearn", "--task", "image", "--dry-run", "--model", "m", "--dataset", "d", "--output", tmp_path)
    assert "--dry-run is for texts" in refused.error
    refused = run(*material.words(tmp_path / "out", tokenizer=material.model))
    assert "is for --dry-run" in refused.error
