"""A micro model that a run of `ngdiff finetune` made, with its data; the real data."""

import json
import os
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest

from ngdiff.data.people import write_people

from .. import tiny
from .runs import Material, evaluate_words, run, succeeded

SHAPE = {**tiny.SHAPE, "initializer_range": 0.08}


@pytest.fixture(scope="session")
def material(tmp_path_factory: pytest.TempPathFactory) -> Material:
    folder = tmp_path_factory.mktemp("material")
    write_people(folder / "data", 4, questions=4, forget_fraction=0.25)
    shape = folder / "shape.json"
    shape.write_text(json.dumps(SHAPE))
    made = Material(model=folder / "model", shape=shape, data=folder / "data")
    words = ["--train", made.data / "full.jsonl", "--output", made.model, "--vocab-size", 300, "--num-train-epochs", 8]
    succeeded(run("finetune", "--model", shape, *words, "--per-device-train-batch-size", 4))
    return made


@pytest.fixture(scope="session")
def whole(material: Material, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """An evaluation that nobody disturbed, in batches of 80 tokens, with norms of gradients."""
    folder = tmp_path_factory.mktemp("whole") / "e"
    succeeded(run(*evaluate_words(material, folder, "--tokens-per-batch", 80, "--grad-norm")))
    return folder


@pytest.fixture
def copy_of(tmp_path: Path) -> Callable[[Path], Path]:
    """`copy_of(folder)`: a copy that a test may damage."""

    def copy(folder: Path) -> Path:
        target = tmp_path / f"copy of {folder.name} {len(list(tmp_path.iterdir()))}"
        shutil.copytree(folder, target)
        return target

    return copy


@pytest.fixture(scope="session")
def real_data() -> Path:
    folder = os.environ.get("NGDIFF_DATA")
    if not folder:
        pytest.skip("NGDIFF_DATA is not set; it names the folder of the real data sets")
    return Path(folder)
