"""`--overwrite` never deletes what the run reads, whatever option names it and however it is written."""

import shutil
from pathlib import Path

import pytest

from .runs import everything_in, run, succeeded


@pytest.fixture
def earlier(material, tmp_path) -> Path:
    """Output folder of an evaluation, with a model, an adapter's base and data that someone put there."""
    folder = tmp_path / "earlier"
    sets = ["--forget", material.forget, "--retain", material.retain]
    succeeded(run("evaluate", "--model", material.model, *sets, "--output", folder))
    for name in ("forget", "retain"):
        shutil.copy(material.data / f"{name}.jsonl", folder)
    shutil.copy(material.shape, folder)
    shutil.copytree(material.model, folder / "model")
    return folder


@pytest.mark.parametrize("option", ["forget", "retain", "holdout", "model"])
@pytest.mark.parametrize("command", ["unlearn", "evaluate"])
def test_unlearn_and_evaluate(material, earlier, command, option):
    rows = f"{earlier}:forget" if option == "forget" else f"{earlier}:retain"
    value = earlier / "model" if option == "model" else rows
    named = {"model": material.model, "forget": material.forget, "retain": material.retain, option: value}
    before = everything_in(earlier)
    outcome = run(command, *(f"--{name}={given}" for name, given in named.items()), "--output", earlier, "--overwrite")
    assert outcome.status == 2
    assert outcome.error == f"--overwrite would delete {value}, which this run reads; choose another --output."
    assert everything_in(earlier) == before


@pytest.mark.parametrize("option", ["train", "tokenizer", "model"])
def test_finetune(material, earlier, option):
    inside = {"train": f"{earlier}:retain", "tokenizer": earlier / "model", "model": earlier / "shape.json"}
    named = {"model": material.shape, "train": material.retain, option: inside[option]}
    before = everything_in(earlier)
    words = [f"--{name}={given}" for name, given in named.items()]
    outcome = run("finetune", *words, "--output", earlier, "--overwrite")
    assert outcome.status == 2
    assert outcome.error == f"--overwrite would delete {inside[option]}, which this run reads; choose another --output."
    assert everything_in(earlier) == before


def test_the_base_of_an_adapter(material, earlier, tmp_path):
    base, adapter = earlier / "model", tmp_path / "adapter"
    options = {"model": base, "lora_rank": 2, "num_train_epochs": 1}
    succeeded(run(*material.words(adapter, **options)))
    before = everything_in(earlier)
    sets = ["--forget", material.forget, "--retain", material.retain]
    for words in (
        material.words(earlier, model=adapter),
        ["evaluate", "--model", adapter, *sets, "--output", earlier],
        ["finetune", "--model", adapter, "--train", material.retain, "--output", earlier],
    ):
        outcome = run(*words, "--overwrite")
        assert outcome.status == 2
        assert outcome.error == f"--overwrite would delete {base}, which this run reads; choose another --output."
    assert everything_in(earlier) == before
