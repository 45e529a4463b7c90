"""Ctrl-C, SIGTERM and their like: the step is finished, a checkpoint is written, `--resume` ends with the same bits."""

import json
import os
import signal
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

import ngdiff.modeling
from ngdiff.checkpoint_places import checkpoint_folder, checkpoints_of
from ngdiff.evaluation.journal import Journal
from ngdiff.exit_codes import DONE, INTERRUPTED, STOPPED_RESUMABLE
from ngdiff.training import UnlearnTrainer

from ..end_to_end.runs import evaluate_words, everything_in, records_of, run, steps_of, succeeded, weights_of
from .stopped import said

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")

Send = Callable[..., None]


@pytest.fixture
def once_in(monkeypatch: pytest.MonkeyPatch) -> Send:
    """`once_in(where, name, signal)`: it is sent when that function is called for the first time."""

    def send(where: Any, name: str, number: signal.Signals) -> None:
        call, left = getattr(where, name), [number]

        def called(*args: Any, **kwargs: Any) -> Any:
            if left:
                signal.raise_signal(left.pop())
            return call(*args, **kwargs)

        monkeypatch.setattr(where, name, called)

    return send


def no_leftovers(folder: Path) -> bool:
    return not [path for path in folder.rglob("*") if "partial" in path.name]


# ---- unlearn -----------------------------------------------------------------------------------------------------

UNLEARN: dict[str, dict[str, Any]] = {
    "within a pass, no checkpoints asked for": {"save_strategy": "no"},
    "at the end of a pass": {"save_strategy": "epoch", "per_device_train_batch_size": 2},
    "steps, accumulation": {"save_strategy": "steps", "save_steps": 3, "gradient_accumulation_steps": 2},
    "adapter, log lines of three steps": {"save_strategy": "no", "lora_rank": 2, "logging_steps": 3},
    "best": {
        "save_strategy": "best",
        "eval_strategy": "steps",
        "eval_steps": 2,
        "metric_for_best_model": "retain_loss",
    },
    "NPO": {"save_strategy": "no", "forget_objective": "npo", "optim": "sgd"},
}


QUICK = ("within a pass, no checkpoints asked for", "adapter, log lines of three steps")


@pytest.mark.parametrize("case", [pytest.param(n, marks=[] if n in QUICK else [pytest.mark.slow]) for n in UNLEARN])
def test_unlearn_goes_on_with_the_same_bits(material, tmp_path, in_step, case):
    options = {"num_train_epochs": 3, "per_device_train_batch_size": 1, "autolr_interval": 3, **UNLEARN[case]}
    folder, number = tmp_path / "run", signal.SIGUSR1 if case == "best" else signal.SIGTERM
    words = material.words(folder, **options)
    in_step(2, number)
    outcome = run(*words)
    assert outcome.status == STOPPED_RESUMABLE, outcome.err
    steps = json.loads((checkpoint_folder(folder, 2) / "trainer_state.json").read_text())["max_steps"]
    assert said(outcome) == (
        f"stopped by {number.name} after step 2 of {steps}; {checkpoint_folder(folder, 2)} is written: "
        "continue with --resume"
    )
    assert [path.name for path in checkpoints_of(folder)] == ["checkpoint-2"]
    assert not list(folder.glob("*.safetensors"))
    assert no_leftovers(folder)
    assert json.loads((folder / "manifest.json").read_text())["extra"]["finished"] is False

    in_step(5, signal.SIGINT)  # once more
    assert run(*words, "--resume").status == STOPPED_RESUMABLE
    succeeded(run(*words, "--resume"))
    succeeded(run(*material.words(tmp_path / "whole", **options)))
    name = "adapter_model.safetensors" if "lora_rank" in options else "model.safetensors"
    assert weights_of(folder, name) == weights_of(tmp_path / "whole", name)
    assert steps_of(folder) == steps_of(tmp_path / "whole")


def test_the_second_ctrl_c_ends_at_once(material, tmp_path, in_step):
    in_step(2, signal.SIGTERM, signal.SIGTERM, signal.SIGINT)  # the same once more is of a launcher
    outcome = run(*material.words(tmp_path / "run", num_train_epochs=2, save_strategy="no"))
    assert outcome.status == INTERRUPTED
    assert said(outcome) == "error: interrupted by SIGTERM"
    assert not checkpoints_of(tmp_path / "run")


def test_in_the_last_step_it_is_too_late_to_stop(material, tmp_path, in_step):
    options = {"max_steps": 3, "save_strategy": "no"}
    in_step(3, signal.SIGTERM)
    succeeded(run(*material.words(tmp_path / "run", **options)))
    succeeded(run(*material.words(tmp_path / "whole", **options)))
    assert weights_of(tmp_path / "run") == weights_of(tmp_path / "whole")
    assert not checkpoints_of(tmp_path / "run")


@pytest.mark.parametrize("name", ["save_to", "mean_loss"])
def test_after_the_last_step_all_is_written(material, tmp_path, once_in, name):
    if name == "save_to":
        once_in(UnlearnTrainer, name, signal.SIGTERM)
    else:  # of the model that is written, not of the one before
        from ngdiff.training import saving

        once_in(saving, "save_model", signal.SIGINT)
    succeeded(run(*material.words(tmp_path / "run", max_steps=1)))
    assert json.loads((tmp_path / "run" / "manifest.json").read_text())["extra"]["finished"] is True


@pytest.mark.parametrize("how", ["new", "overwrite"])
def test_before_the_first_step_nothing_is_lost(material, tmp_path, once_in, how):
    folder, options = tmp_path / "run", {"num_train_epochs": 1, "forget_objective": "npo"}
    words = material.words(folder, **options)
    succeeded(run(*words))
    whole = weights_of(folder)
    again = [*words, "--overwrite"]
    if how == "new":
        folder = tmp_path / "new"
        again = words = material.words(folder, **options)
    once_in(UnlearnTrainer, "mean_loss", signal.SIGTERM)
    outcome = run(*again)
    assert outcome.status == STOPPED_RESUMABLE
    in_place = " in place of --overwrite" if how == "overwrite" else ""
    assert said(outcome) == f"stopped by SIGTERM: continue with --resume{in_place}"
    succeeded(run(*words, "--resume"))
    assert weights_of(folder) == whole


def test_before_anything_is_written_there_is_nothing_to_resume(material, tmp_path, once_in):
    once_in(ngdiff.modeling, "load_model", signal.SIGINT)
    outcome = run(*material.words(tmp_path / "run"))
    assert (outcome.status, said(outcome)) == (INTERRUPTED, "error: interrupted")
    assert not (tmp_path / "run").exists()


def test_without_the_state_of_the_optimizer_nothing_goes_on(material, tmp_path, in_step):
    in_step(1, signal.SIGTERM)
    outcome = run(*material.words(tmp_path / "run", "--save-only-model"))
    assert outcome.status == INTERRUPTED
    assert said(outcome).endswith("holds the weights alone (--save-only-model): no run can continue from it")


def test_a_signal_that_is_ignored_stays_ignored(material, tmp_path, in_step):
    """As Ctrl-C in a script's background."""
    before = signal.signal(signal.SIGINT, signal.SIG_IGN)
    try:
        in_step(1, signal.SIGINT)
        succeeded(run(*material.words(tmp_path / "run", max_steps=2)))
        assert signal.getsignal(signal.SIGINT) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGINT, before)


def test_handlers_are_those_of_before(material, tmp_path, in_step):
    numbers = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGUSR2)
    before = [signal.getsignal(number) for number in numbers]
    in_step(1, signal.SIGTERM)
    assert run(*material.words(tmp_path / "run")).status == STOPPED_RESUMABLE
    assert [signal.getsignal(number) for number in numbers] == before


# ---- finetune ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("step", [3, 4], ids=["within a pass", "at its end"])
def test_finetune_goes_on_with_the_same_bits(material, tmp_path, in_step, step):
    words = ["finetune", "--model", material.shape, "--train", material.data / "full.jsonl", "--vocab-size", 300]
    words += ["--num-train-epochs", 3, "--per-device-train-batch-size", 4, "--stop-loss", "none"]
    in_step(step, signal.SIGTERM)
    outcome = run(*words, "--output", tmp_path / "run")
    assert outcome.status == STOPPED_RESUMABLE
    assert said(outcome) == (
        f"stopped by SIGTERM after step {step} of 12; {checkpoint_folder(tmp_path / 'run', step)} is written: "
        "continue with --resume"
    )
    succeeded(run(*words, "--output", tmp_path / "run", "--resume"))
    succeeded(run(*words, "--output", tmp_path / "whole"))
    assert weights_of(tmp_path / "run") == weights_of(tmp_path / "whole")


def test_finetune_that_has_learned_enough_is_done(material, tmp_path, in_step):
    """The pass whose last step the signal comes in brings the loss down to `--stop-loss`."""
    words = ["finetune", "--model", material.shape, "--train", material.data / "full.jsonl", "--vocab-size", 300]
    in_step(1, signal.SIGTERM)
    outcome = succeeded(run(*words, "--output", tmp_path / "run", "--stop-loss", 100))
    assert "the model is in" in outcome.out
    assert outcome.status == DONE


# ---- evaluate ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_evaluate_goes_on_from_its_journal(material, tmp_path, whole, once_in, number):
    folder = tmp_path / "e"
    words = evaluate_words(material, folder, "--tokens-per-batch", 80, "--grad-norm")
    once_in(Journal, "add", number)
    outcome = run(*words)
    assert outcome.status == STOPPED_RESUMABLE
    name = "Ctrl-C" if number == signal.SIGINT else "SIGTERM"
    assert said(outcome) == f"stopped by {name}: continue with --resume"
    succeeded(run(*words, "--resume"))
    assert records_of(folder) == records_of(whole)


def test_evaluate_without_a_folder_has_nothing_to_go_on_from(material, once_in):
    once_in(Journal, "add", signal.SIGTERM)
    outcome = run(*evaluate_words(material, None))
    assert (outcome.status, said(outcome)) == (INTERRUPTED, "error: interrupted by SIGTERM")


def test_other_commands_end_at_once(material, tmp_path, whole, once_in):
    import ngdiff.cli.score

    before = everything_in(whole)
    once_in(ngdiff.cli.score, "read_sets", signal.SIGTERM)
    outcome = run("score", whole, "--output", tmp_path / "m.json")
    assert (outcome.status, said(outcome)) == (INTERRUPTED, "error: interrupted by SIGTERM")
    assert everything_in(whole) == before
    assert not list(tmp_path.iterdir())
