"""A disk that is full when a command writes a file, each of its files in turn: one line says what, where, what to do.

`tests/end_to_end/test_disk_full.py` checks what is left on it.
"""

import json
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from ngdiff.checkpoint_places import checkpoint_folder
from ngdiff.file_names import MANIFEST

from ..end_to_end.runs import evaluate_words, run, succeeded, weights_of
from .full_disk import assert_told, disk, files_of, largest_file, one_of, run_on

__all__ = ["disk"]

# ---- each file of each command -----------------------------------------------------------------------------------


def commands(material: Any, whole: Path, folder: Path) -> dict[str, list[Any]]:
    table = ["--output", folder / "t.txt", "--figure", folder / "f.png"]
    return {
        "unlearn": material.words(folder / "run", num_train_epochs=1, forget_objective="npo"),
        "finetune": [
            *("finetune", "--model", material.model, "--train", material.retain, "--output", folder / "run"),
            *("--save-strategy", "epoch", "--num-train-epochs", 1),
        ],
        "evaluate": evaluate_words(material, folder / "run", "--tokens-per-batch", 80),
        "score": ["score", whole, "--output", folder / "metrics.json"],
        "compare": ["compare", f"A@1={whole}", f"B@2={whole}", *table],
    }


WRITTEN = {
    "unlearn": [
        *(MANIFEST, "config.yaml", "index.json"),
        *("config.json", "tokenizer_config.json", "unlearning_state.json", "trainer_state.json", "SHA256SUMS"),
        *("run_config.yaml", "run_manifest.json", "training_log.json", "curves.png", "README.md"),
    ],
    "finetune": [
        *(MANIFEST, "config.yaml", "config.json", "tokenizer_config.json", "trainer_state.json"),
        *("run_config.yaml", "run_manifest.json", "SHA256SUMS", "README.md"),
    ],
    "evaluate": [
        *(MANIFEST, "config.yaml", ".gitignore", "partial.0.jsonl"),
        *("records_forget.jsonl", "records_retain.jsonl", "metrics.json"),
    ],
    "score": ["metrics.json"],
    "compare": ["f.png", "t.txt"],
}


IN_CHECKPOINT = (
    *("config.json", "tokenizer_config.json", "unlearning_state.json", "trainer_state.json", "SHA256SUMS"),
    *("run_config.yaml", "run_manifest.json"),
)


# Of each way to write one; the others are slow together.
QUICK = (MANIFEST, "config.yaml", "unlearning_state.json", "curves.png", "partial.0.jsonl", "metrics.json", "t.txt")


def case(command: str, file: str) -> Any:
    quick = file in QUICK and (command != "finetune")
    return pytest.param(command, file, id=f"{command} {file}", marks=[] if quick else [pytest.mark.slow])


@pytest.mark.parametrize(("command", "file"), [case(name, file) for name, files in WRITTEN.items() for file in files])
def test_each_file_of_each_command(material, whole, disk, tmp_path, command, file):
    words = commands(material, whole, tmp_path)[command]
    outcome = run_on(disk, one_of(tmp_path, file), words)
    if command in ("score", "compare"):
        then = "start again"
    elif file in IN_CHECKPOINT and (command, file) != ("unlearn", "SHA256SUMS"):  # of the references, which come first
        then = "there is no earlier one"
    else:
        then = "continue with --resume"
    assert_told(outcome, tmp_path, file, then)
    # Where the figure was written before the table did not fit, it is in the way.
    again = [*words, "--overwrite"] if then == "start again" else [*words, "--resume"]
    succeeded(run(*again))


@pytest.mark.slow
@pytest.mark.parametrize("command", WRITTEN)
def test_no_file_is_left_out(material, whole, disk, tmp_path, command):
    """The table above names all files that the commands write with Python's own `open`."""
    found = files_of(disk, tmp_path, commands(material, whole, tmp_path)[command])
    assert set(found) - {"generation_config.json", "chat_template.jinja", "adapter_config.json"} <= set(
        WRITTEN[command]
    )


# ---- files that libraries open themselves ------------------------------------------------------------------------


@pytest.mark.parametrize(
    "what",
    ["reference", pytest.param("weights", marks=pytest.mark.slow), pytest.param("optimizer", marks=pytest.mark.slow)],
)
def test_files_of_safetensors_and_torch(material, disk, tmp_path, what):
    options = {"forget_objective": "undial"} if what == "reference" else {}
    words = material.words(tmp_path / "whole", num_train_epochs=1, **options)
    succeeded(run(*words))
    place = {
        "reference": "reference/head.safetensors",
        "weights": "checkpoints/checkpoint-1/model.safetensors",
        "optimizer": "checkpoints/checkpoint-1/optimizer.pt",
    }[what]
    size = (tmp_path / "whole" / place).stat().st_size
    words = material.words(tmp_path / "run", num_train_epochs=1, **options)
    with largest_file(disk, size - 1):
        outcome = run(*words)
    assert outcome.status == 1, outcome.err
    said = {
        "reference": rf"what the model says before unlearning could not be written to {tmp_path}/run/reference/",
        "weights": rf"{tmp_path}/run/checkpoints/checkpoint-1 could not be written \(",
        "optimizer": rf"{tmp_path}/run/checkpoints/checkpoint-1 could not be written \(",
    }[what]
    assert re.match(said, outcome.error), outcome.error
    needed = re.search(r"([0-9.]+) kB are needed", outcome.error)
    assert needed is not None, outcome.error
    assert float(needed[1]) * 1000 >= 0.9 * size
    succeeded(run(*words, "--resume"))
    assert weights_of(tmp_path / "run") == weights_of(tmp_path / "whole")


def test_finetune_tells_of_its_checkpoints_as_unlearn_does(material, disk, tmp_path):
    words = ["finetune", "--model", material.model, "--train", material.retain, "--save-strategy", "epoch"]
    words += ["--stop-loss", "none", "--output", tmp_path / "run"]
    succeeded(run(*words, "--num-train-epochs", 1, "--keep-checkpoints"))
    size = (checkpoint_folder(tmp_path / "run", 1) / "optimizer.pt").stat().st_size
    with largest_file(disk, size - 1):
        outcome = run(*words, "--num-train-epochs", 2, "--resume")
    assert outcome.status == 1
    assert re.fullmatch(
        rf"{tmp_path}/run/checkpoints/checkpoint-2 could not be written \(.*\); "
        "checkpoint-1 is complete: free some space and continue with --resume",
        outcome.error,
    ), outcome.error
    succeeded(run(*words, "--num-train-epochs", 2, "--resume"))


def test_a_model_whose_tokenizer_does_not_fit_is_not_half_there(material, disk, tmp_path):
    """tokenizers raises a bare `Exception`."""
    from ngdiff.errors import WriteError
    from ngdiff.modeling import load_model, load_tokenizer, save_model

    model, tokenizer = load_model(material.model), load_tokenizer(material.model)
    save_model(model, tokenizer, tmp_path)
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    tokenizer.add_tokens([f"<{'x' * 100}{i}>" for i in range(2000)])
    with largest_file(disk, 200_000), pytest.raises(WriteError, match=r"the model could not be written to .*too large"):
        save_model(model, tokenizer, tmp_path)
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


# ---- other places ------------------------------------------------------------------------------------------------


def test_standard_output_on_a_full_disk(whole):
    if not Path("/dev/full").exists():
        pytest.skip("/dev/full is of Linux")
    with open("/dev/full", "w") as full:
        done = subprocess.run(
            [sys.executable, "-m", "ngdiff", "score", str(whole)],
            stdout=full,
            stderr=subprocess.PIPE,
            text=True,
            timeout=120,
        )
    assert done.returncode == 1
    assert done.stderr == "ngdiff: error: the output could not be written (No space left on device)\n"


@pytest.mark.slow
def test_each_file_of_the_demo(disk, tmp_path):
    words = ["demo", "--people", 10, "--questions", 1, "--output", tmp_path / "demo"]
    found = files_of(disk, tmp_path, words)
    assert found[:5] == [MANIFEST, "config.yaml", "forget.jsonl", "retain.jsonl", "full.jsonl"]
    for file in found:
        outcome = run_on(disk, one_of(tmp_path, file), [*words, "--overwrite"])
        assert_told(outcome, tmp_path, file, "start again")
    assert json.loads((tmp_path / "demo" / MANIFEST).read_text())
    succeeded(run(*words, "--overwrite"))
