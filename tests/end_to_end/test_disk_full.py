"""A disk that fills up: the run fails in one line, and what was whole stays whole.

The disk is played by a limit on the size of a file (`RLIMIT_FSIZE`), so that the errors are the real ones: of the
operating system, of `torch.save` and of safetensors.
"""

import json
import re
import signal
from pathlib import Path

import pytest

from ngdiff.checkpoint_places import checkpoint_folder, checkpoints_of

from .runs import Outcome, everything_in, finish, log_of, run, start, steps_of, succeeded, weights_of

resource = pytest.importorskip("resource", reason="limits on the size of a file need a POSIX system")

OPTIONS = {"per_device_train_batch_size": 2}  # 2 steps an epoch


def run_with_largest_file(words: list[str], size: int) -> Outcome:
    """A process that can write no file of more than `size` bytes."""

    def limit() -> None:
        signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # the default ends the process instead of failing the write
        resource.setrlimit(resource.RLIMIT_FSIZE, (size, size))

    return finish(start(words, preexec_fn=limit))


@pytest.fixture(scope="module")
def undisturbed(material, tmp_path_factory) -> Path:
    """Folder `short`, a run of one epoch, and folder `long`, one of three."""
    folder = tmp_path_factory.mktemp("undisturbed")
    for name, epochs in (("short", 1), ("long", 3)):
        succeeded(run(*material.words(folder / name, num_train_epochs=epochs, **OPTIONS)))
    return folder


@pytest.fixture
def interrupted(undisturbed, copy_of) -> Path:
    """Output folder of a run of one epoch, to go on with."""
    return copy_of(undisturbed / "short")


def assert_resumes_to_the_end(material, folder: Path, undisturbed: Path) -> None:
    """With space again the run ends where one ends that was never interrupted."""
    succeeded(run(*material.words(folder, "--resume", num_train_epochs=3, **OPTIONS)))
    assert weights_of(folder) == weights_of(undisturbed / "long")
    assert steps_of(folder) == steps_of(undisturbed / "long")
    assert json.loads((folder / "manifest.json").read_text())["extra"]["finished"] is True


@pytest.mark.parametrize(
    ("file", "reason"),
    # torch and safetensors have errors of their own, none of which is an OSError; torch's depends on how far it got.
    [
        ("optimizer.pt", "(PytorchStreamWriter failed writing file|iostream error)"),
        ("model.safetensors", "I/O error: File too large"),
    ],
    ids=["optimizer", "weights"],
)
def test_a_checkpoint_that_does_not_fit(material, undisturbed, interrupted, file, reason):
    checkpoint = checkpoint_folder(interrupted, 2)
    before, log = everything_in(checkpoint), log_of(interrupted)
    weights = weights_of(interrupted)
    size = (checkpoint / file).stat().st_size - 1
    words = material.words(interrupted, "--resume", num_train_epochs=3, **OPTIONS)
    outcome = run_with_largest_file(words, size)

    assert outcome.status == 1
    pattern = (
        rf"{re.escape(str(checkpoint_folder(interrupted, 4)))} could not be written \(.*{reason}.*\); "
        "checkpoint-2 is complete: free some space and continue with --resume"
    )
    assert re.fullmatch(pattern, outcome.error), outcome.error
    assert [path.name for path in checkpoints_of(interrupted)] == ["checkpoint-2"]
    assert not list(interrupted.glob(".*"))
    assert everything_in(checkpoint) == before
    assert (weights_of(interrupted), log_of(interrupted)) == (weights, log)
    assert json.loads((interrupted / "manifest.json").read_text())["extra"]["finished"] is False
    assert_resumes_to_the_end(material, interrupted, undisturbed)


def test_the_first_checkpoint_does_not_fit(material, tmp_path):
    folder = tmp_path / "run"
    outcome = run_with_largest_file(material.words(folder, num_train_epochs=1, **OPTIONS), 100_000)
    assert outcome.status == 1
    assert outcome.error.startswith(f"{checkpoint_folder(folder, 2)} could not be written (")
    assert outcome.error.endswith("); there is no earlier one")
    assert sorted(everything_in(folder)) == ["config.yaml", "manifest.json"]


def test_the_model_at_the_end_does_not_fit(material, undisturbed, interrupted):
    """The checkpoint and the model of before are left, and nothing half-written beside them."""
    before = everything_in(interrupted)
    size = (interrupted / "model.safetensors").stat().st_size - 1
    words = material.words(interrupted, "--resume", num_train_epochs=3, save_strategy="no", **OPTIONS)
    outcome = run_with_largest_file(words, size)

    assert outcome.status == 1
    assert outcome.error.startswith(f"the model could not be written to {interrupted} (")
    assert "File too large" in outcome.error
    assert outcome.error.endswith("); what was there is untouched; free some space and continue with --resume")
    after = everything_in(interrupted)
    changed = {name for name in before.keys() | after.keys() if before.get(name) != after.get(name)}
    assert changed == {"config.yaml", "manifest.json"}  # written when the run began
    assert_resumes_to_the_end(material, interrupted, undisturbed)
