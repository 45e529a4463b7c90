"""Runs on images whose disk is full, or whose model is ruined: as those on texts."""

import json
from typing import Any

import pytest

from ngdiff.exit_codes import RUINED_MODEL

from ..end_to_end.runs import run, succeeded
from .full_disk import assert_told, disk, one_of, run_on
from .images import finetune_words, images, unlearn_words

__all__ = ["disk", "images"]


@pytest.mark.parametrize(
    ("command", "file", "then"),
    [
        ("finetune", "SHA256SUMS", "there is no earlier one"),
        ("finetune", "preprocessor_config.json", "continue with --resume"),
        ("unlearn", "training_log.json", "continue with --resume"),
        ("evaluate", "metrics.json", "start again"),
    ],
)
def test_a_full_disk(images, disk, tmp_path, command, file, then):
    folder = tmp_path / "run"
    given = ["--model", images / "target", "--dataset", images / "data.npz", "--output", folder]
    words: list[Any] = {
        "finetune": [*finetune_words(images, folder), "--max-steps", 1, "--save-strategy", "epoch"],
        "unlearn": [*unlearn_words(images, folder), "--max-steps", 1, "--max-retain-loss", "none"],
        "evaluate": ["evaluate", "--task", "image", *given, "--forget-class", "bee"],
    }[command]
    outcome = run_on(disk, one_of(tmp_path, file), words)
    assert_told(outcome, folder, file, then)
    succeeded(run(*words, "--overwrite" if command == "evaluate" else "--resume"))


@pytest.mark.parametrize("command", ["finetune", "unlearn"])
@pytest.mark.parametrize("how", ["not finite", "above its bound"])
def test_a_ruined_model(images, tmp_path, command, how):
    folder = tmp_path / "run"
    made = {"finetune": finetune_words, "unlearn": unlearn_words}[command](images, folder)
    bound = "--max-loss" if command == "finetune" else "--max-retain-loss"
    options: list[Any] = [bound, "auto", "--learning-rate", 1e29] if how == "not finite" else [bound, 1e-6]
    if command == "finetune" and how == "not finite":
        options += ["--lr-scheduler-type", "constant", "--warmup-steps", 0]
    outcome = run(*made, "--max-steps", 1, *options)
    assert outcome.status == RUINED_MODEL, outcome.err
    assert outcome.error.startswith("the model is ruined: ")
    assert f"It is kept in {folder / 'ruined'}, not in {folder}." in outcome.error
    assert (f"{bound} none" in outcome.error) == (how == "above its bound")
    assert (folder / "ruined" / "model.safetensors").is_file()
    assert (folder / "ruined" / "preprocessor_config.json").is_file()
    assert not (folder / "model.safetensors").exists()
    assert json.loads((folder / "manifest.json").read_text())["extra"]["model"] == "ruined"
