"""Signals of runs on images: as those on texts."""

import signal
from pathlib import Path

import numpy as np
import pytest

from ngdiff.exit_codes import STOPPED_RESUMABLE
from ngdiff.modeling.cifar_resnet import CifarResNetConfig

from ..end_to_end.runs import run, succeeded, weights_of
from .test_signals import in_step, pytestmark, said

__all__ = ["in_step", "pytestmark"]


@pytest.fixture(scope="module")
def images(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with `data.npz`, a shape, and a classifier."""
    folder = tmp_path_factory.mktemp("images")
    rng = np.random.default_rng(0)
    labels = np.arange(30) % 3
    pixels = rng.integers(0, 180, (30, 8, 8, 3), dtype=np.uint8)
    np.savez(folder / "data.npz", x_train=pixels, y_train=labels, class_names=["ant", "bee", "cow"])
    config = CifarResNetConfig(embedding_size=8, hidden_sizes=[8, 16], depths=[1, 1], layer_type="basic")
    config.to_json_file(folder / "tiny.json")
    succeeded(run(*finetune_words(folder, folder / "target"), "--num-train-epochs", 1))
    return folder


def finetune_words(folder: Path, output: Path) -> list[object]:
    words = ["--model", folder / "tiny.json", "--dataset", folder / "data.npz", "--output", output]
    return ["finetune", "--task", "image", *words, "--per-device-train-batch-size", 10, "--max-loss", "none"]


def test_finetune_crops_as_it_would_have(images, tmp_path, in_step):
    def words(name: str) -> list[object]:
        return [*finetune_words(images, tmp_path / name), "--num-train-epochs", 3]

    in_step(5, signal.SIGTERM)  # within the second pass
    outcome = run(*words("run"))
    assert outcome.status == STOPPED_RESUMABLE, outcome.err
    assert said(outcome).startswith("stopped by SIGTERM after step 5 of 9; ")
    succeeded(run(*words("run"), "--resume"))
    succeeded(run(*words("whole")))
    assert weights_of(tmp_path / "run") == weights_of(tmp_path / "whole")


def test_unlearn(images, tmp_path, in_step):
    def words(name: str) -> list[object]:
        model = ["--model", images / "target", "--dataset", images / "data.npz", "--output", tmp_path / name]
        options = ["--forget-class", "bee", "--num-train-epochs", 2, "--per-device-train-batch-size", 4]
        return ["unlearn", "--task", "image", *model, *options, "--save-strategy", "no", "--max-retain-loss", "none"]

    in_step(2, signal.SIGINT)
    outcome = run(*words("run"))
    assert outcome.status == STOPPED_RESUMABLE, outcome.err
    assert said(outcome).startswith("stopped by Ctrl-C after step 2 of ")
    succeeded(run(*words("run"), "--resume"))
    succeeded(run(*words("whole")))
    assert weights_of(tmp_path / "run") == weights_of(tmp_path / "whole")
