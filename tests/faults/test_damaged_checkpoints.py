"""Damaged files of a run: none is believed, an older whole checkpoint is, and the end is that of an undisturbed run.

By default a few files with one kind of damage each; marked slow, every file of a checkpoint with every kind.
"""

import json
import logging
import shutil
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import pytest

from ngdiff.checkpoint_places import checkpoint_folder

from ..end_to_end.runs import everything_in, run, steps_of, succeeded, weights_of

# A pass has 2 steps; the checkpoints lie at its end and within it.
OPTIONS = {
    "per_device_train_batch_size": 2,
    "max_steps": 7,
    "save_strategy": "steps",
    "save_steps": 3,
    "save_total_limit": "none",
    "autolr_interval": 2,
    "method": "npo+ngdiff",
}


@dataclass(frozen=True)
class Undisturbed:
    """A run of 7 steps with checkpoints at 3, 6 and 7."""

    folder: Path
    end: tuple[dict[str, bytes], list[dict[str, object]]]


def end_of(folder: Path) -> tuple[dict[str, bytes], list[dict[str, object]]]:
    """Weights and log."""
    return weights_of(folder), steps_of(folder)


@pytest.fixture(scope="module")
def undisturbed(material, tmp_path_factory: pytest.TempPathFactory) -> Undisturbed:
    folder = tmp_path_factory.mktemp("undisturbed") / "run"
    succeeded(run(*material.words(folder, **OPTIONS)))
    return Undisturbed(folder, end_of(folder))


@pytest.fixture
def killed(undisturbed, copy_of) -> Path:
    """The same run as it was before its last step: checkpoints at 3 and 6, no model."""
    folder = copy_of(undisturbed.folder)
    shutil.rmtree(checkpoint_folder(folder, 7))
    for name in ("model.safetensors", "report/training_log.json", "report/curves.png"):
        (folder / name).unlink()
    return folder


def flip(path: Path, other: Path) -> None:
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 16
    path.write_bytes(content)


def swap(path: Path, other: Path) -> None:
    mine, theirs = path.read_bytes(), other.read_bytes()
    path.write_bytes(theirs)
    other.write_bytes(mine)


# Each harms a file of the newest checkpoint; `other` is the same file of the one before.
DAMAGE: dict[str, Callable[[Path, Path], None]] = {
    "missing": lambda path, other: path.unlink(),
    "empty": lambda path, other: path.write_bytes(b""),
    "cut short": lambda path, other: path.write_bytes(path.read_bytes()[: path.stat().st_size // 2]),
    "flipped": flip,
    "that of another checkpoint": lambda path, other: shutil.copyfile(other, path),
}

FILES = (
    *("model.safetensors", "config.json", "generation_config.json", "tokenizer.json", "tokenizer_config.json"),
    *("optimizer.pt", "scheduler.pt", "rng_state.pth", "pass_0.pt", "unlearning_state.json", "trainer_state.json"),
    *("run_config.yaml", "run_manifest.json", "SHA256SUMS"),
)
SHORT = (
    ("model.safetensors", "flipped"),
    ("optimizer.pt", "missing"),
    ("unlearning_state.json", "that of another checkpoint"),
    ("trainer_state.json", "cut short"),
    ("SHA256SUMS", "cut short"),
)
LONG = [(name, how) for name in FILES for how in DAMAGE if (name, how) not in SHORT]


def test_these_are_all_files_of_a_checkpoint(undisturbed):
    assert set(everything_in(checkpoint_folder(undisturbed.folder, 6))) == set(FILES)


@pytest.mark.parametrize(
    ("name", "how"), [*SHORT, *(pytest.param(name, how, marks=pytest.mark.slow) for name, how in LONG)]
)
def test_a_damaged_file_of_the_newest_checkpoint(material, undisturbed, killed, caplog, name, how):
    path, other = checkpoint_folder(killed, 6) / name, checkpoint_folder(killed, 3) / name
    before = path.read_bytes()
    DAMAGE[how](path, other)
    harmed = not path.exists() or path.read_bytes() != before
    succeeded(run(*material.words(killed, "--resume", **OPTIONS)))
    assert end_of(killed) == undisturbed.end
    if harmed:  # some files say the same in every checkpoint
        (warning,) = [text for text in caplog.messages if "is skipped" in text]
        assert warning.startswith(f"{checkpoint_folder(killed, 6)} is skipped: ")
        assert name in warning or name == "SHA256SUMS"
    assert run(*material.words(killed, "--resume", **OPTIONS)).out.startswith(f"The run in {killed} is done")


@pytest.mark.parametrize("name", ["model.safetensors", *(pytest.param(x, marks=pytest.mark.slow) for x in FILES[1:-1])])
def test_files_swapped_between_two_checkpoints(material, undisturbed, killed, name):
    """Both are damaged then, unless the file says the same in both; there is nothing to go on from."""
    path, other = checkpoint_folder(killed, 6) / name, checkpoint_folder(killed, 3) / name
    alike = path.read_bytes() == other.read_bytes()
    swap(path, other)
    before = everything_in(killed)
    outcome = run(*material.words(killed, "--resume", **OPTIONS))
    if alike:
        succeeded(outcome)
        assert end_of(killed) == undisturbed.end
        return
    assert outcome.status == 2
    assert outcome.error.startswith(f"--resume: {killed} holds no complete checkpoint to continue from (checkpoint-6: ")
    assert outcome.error.count(f"{name} is damaged: expected SHA-256") == 2
    assert everything_in(killed) == before


def test_checkpoints_that_changed_their_names(material, undisturbed, killed, caplog):
    checkpoint_folder(killed, 6).rename(checkpoint_folder(killed, 5))
    succeeded(run(*material.words(killed, "--resume", **OPTIONS)))
    assert "checkpoint-5 is skipped: it is the checkpoint of step 6, under another name" in caplog.text
    assert end_of(killed) == undisturbed.end


@pytest.mark.parametrize("name", ["manifest.json", "config.yaml"])
@pytest.mark.parametrize(
    "how", ["flipped", *(pytest.param(how, marks=pytest.mark.slow) for how in ("missing", "empty", "cut short"))]
)
def test_a_damaged_manifest_or_config_of_the_run(material, undisturbed, killed, caplog, name, how):
    """Each checkpoint has a copy."""
    DAMAGE[how](killed / name, killed / name)
    succeeded(run(*material.words(killed, "--resume", **OPTIONS)))
    assert "its copy in checkpoint-6 is read" in caplog.text
    assert end_of(killed) == undisturbed.end
    outcome = run(*material.words(killed, "--resume", **OPTIONS, seed=1))
    assert "has --seed 42, not 1" in outcome.error


@pytest.mark.parametrize("name", ["index.json", "forget-0.safetensors", "SHA256SUMS"])
@pytest.mark.parametrize("how", ["missing", "empty", "flipped"])
def test_damaged_references_are_not_compared_with(material, killed, name, how):
    """What the model said before unlearning, which no checkpoint can say."""
    DAMAGE[how](killed / "reference" / name, killed / "reference" / name)
    outcome = run(*material.words(killed, "--resume", **OPTIONS))
    assert outcome.status == 2
    assert f"{killed / 'reference'} does not hold the outputs of the model before unlearning" in outcome.error
    assert f"({name}" in outcome.error or name == "SHA256SUMS"  # a digit of the list changes what is expected of a file
    assert "another run" not in outcome.error
    assert "restore the wrong files from a copy, or start the run again, with --overwrite or another" in outcome.error


@pytest.mark.parametrize(
    "name",
    [
        "model.safetensors",
        *(pytest.param(f"report/{x}", marks=pytest.mark.slow) for x in ("training_log.json", "curves.png")),
    ],
)
@pytest.mark.parametrize("how", ["flipped", pytest.param("missing", marks=pytest.mark.slow)])
def test_a_damaged_file_of_a_run_that_is_done_is_made_again(material, undisturbed, copy_of, caplog, name, how):
    folder = copy_of(undisturbed.folder)
    DAMAGE[how](folder / name, folder / name)
    succeeded(run(*material.words(folder, "--resume", **OPTIONS)))
    assert f"is done, but what it wrote is no longer whole ({name} is " in caplog.text
    assert end_of(folder) == undisturbed.end


def test_a_damaged_result_of_an_evaluation_is_computed_again(material, tmp_path, caplog):
    folder = tmp_path / "e"
    words = ["evaluate", "--model", material.model, "--forget", material.forget, "--output", folder, "--no-generate"]
    succeeded(run(*words))
    before = everything_in(folder)
    for name in ("metrics.json", "private/records_forget.jsonl"):
        for how in ("flipped", "missing"):
            DAMAGE[how](folder / name, folder / name)
            with caplog.at_level(logging.WARNING):
                succeeded(run(*words, "--resume"))
            assert f"is done, but what it wrote is no longer whole ({name} is " in caplog.text
            assert (folder / name).read_bytes() == before[name]
    (folder / "manifest.json").write_text(json.dumps({"versions": {"ngdiff": "1"}}))
    outcome = run(*words, "--resume")
    assert outcome.status == 2
    assert f"{folder / 'manifest.json'} is damaged" in outcome.error
