"""A small classifier and its images, to be harmed."""

from pathlib import Path

import numpy as np
import pytest

from ngdiff.modeling.cifar_resnet import CifarResNetConfig

from ..end_to_end.runs import run, succeeded


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


def unlearn_words(folder: Path, output: Path) -> list[object]:
    words = ["--model", folder / "target", "--dataset", folder / "data.npz", "--output", output]
    return ["unlearn", "--task", "image", *words, "--forget-class", "bee", "--per-device-train-batch-size", 4]
