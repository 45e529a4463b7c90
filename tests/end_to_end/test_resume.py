"""A run that was killed goes on from its last whole checkpoint and ends with the same weights, bit for bit."""

import json
import logging
import os
import shutil
import signal
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

import ngdiff
from ngdiff.checkpoint_places import checkpoint_folder, checkpoints_of
from ngdiff.checksums import LIST
from ngdiff.hashes import sha256_file
from ngdiff.modeling import train_tokenizer

from .runs import everything_in, finish, log_of, run, start, steps_of, succeeded, weights_of, write_rows

EPOCHS = 40  # of 2 to 4 steps: seconds, so that a kill hits the run well before its end


def whole_checkpoints(folder: Path) -> list[Path]:
    """Checkpoints with the file that is written last."""
    return [path for path in checkpoints_of(folder) if (path / LIST).is_file()]


def kill_after_second_checkpoint(words: list[str], folder: Path) -> None:
    """Start a run and end it with SIGKILL, which no program can catch, once it has written two checkpoints."""
    process = start(words)
    try:
        deadline = time.monotonic() + 120
        while len(whole_checkpoints(folder)) < 2:
            assert process.poll() is None, finish(process).err
            assert time.monotonic() < deadline
            time.sleep(0.001)
        process.send_signal(signal.SIGKILL)
    finally:
        process.kill()
        outcome = finish(process)
    assert outcome.status == -signal.SIGKILL
    assert not (folder / "model.safetensors").exists(), "the run had ended before it was killed"


@pytest.fixture(scope="module")
def model_with_dropout(material, tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dropout") / "model"
    shutil.copytree(material.model, folder)
    config = json.loads((folder / "config.json").read_text()) | {"attention_dropout": 0.2}
    (folder / "config.json").write_text(json.dumps(config))
    return folder


@pytest.mark.parametrize("when", [pytest.param("epoch", marks=pytest.mark.slow), "steps"])
def test_killed_and_resumed(material, model_with_dropout, tmp_path, when):
    if when == "epoch":
        options = {"per_device_train_batch_size": 2}
    else:  # Epochs have 4 steps: the checkpoints lie within them. With dropout random states count, too.
        options = {
            "model": model_with_dropout,
            "disable_dropout": "false",
            "per_device_train_batch_size": 1,
            "save_strategy": "steps",
            "save_steps": 3,
            "optim": "sgd",
        }
    # Probes before and after the kill; what AutoLR remembers of earlier ones is a part of the run.
    options |= {"num_train_epochs": EPOCHS, "autolr_interval": 2, "forget_ceiling": "none"}
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    succeeded(run(*material.words(whole, **options)))
    words = material.words(killed, **options)
    kill_after_second_checkpoint(words, killed)

    at = max(int(path.name.partition("-")[2]) for path in whole_checkpoints(killed))
    last = steps_of(whole)[-1]["step"]
    assert at < last
    succeeded(run(*words, "--resume"))

    assert weights_of(killed) == weights_of(whole)
    assert steps_of(killed) == steps_of(whole)
    assert len({row["learning_rate"] for row in steps_of(whole) if row["step"] > at}) > 1
    assert log_of(killed)["probes"] == log_of(whole)["probes"]
    assert any(probe["step"] > at for probe in log_of(killed)["probes"])
    extra = [json.loads((folder / "manifest.json").read_text())["extra"] for folder in (killed, whole)]
    assert extra[0] == extra[1]
    assert extra[0]["finished"] is True


def test_a_checkpoint_that_was_not_written_to_its_end_is_passed_over(material, tmp_path, caplog):
    folder = tmp_path / "run"
    words = material.words(folder, num_train_epochs=3, per_device_train_batch_size=2)
    succeeded(run(*words))
    weights, steps = weights_of(folder), steps_of(folder)
    for damage in ("missing", "empty", "half"):
        state = checkpoint_folder(folder, 6) / "trainer_state.json"
        text = state.read_text()
        state.unlink()
        if damage != "missing":
            state.write_text(text[: len(text) // 2] if damage == "half" else "")
        (folder / "model.safetensors").unlink()
        with caplog.at_level(logging.WARNING):
            succeeded(run(*words, "--resume"))
        assert "checkpoint-6 is skipped: trainer_state.json is" in caplog.text
        assert weights_of(folder) == weights
        assert steps_of(folder) == steps
        assert [path.name for path in sorted(whole_checkpoints(folder))] == ["checkpoint-4", "checkpoint-6"]


@pytest.mark.parametrize(
    "options",
    [
        {"lora_rank": 2},
        {"optim": "sgd", "learning_rate": 0.1},
        {"gradient_accumulation_steps": 2},
        {"dtype": "bfloat16"},
        {"method": "gdiff", "c": 0.7, "learning_rate": "auto:1e-3"},
    ],
    ids=lambda options: next(iter(options)),
)
def test_more_epochs_are_the_same_as_more_from_the_start(material, tmp_path, options):
    """Also the way to go on with a run that has ended: the number of epochs may change."""
    options = {"per_device_train_batch_size": 1, "autolr_interval": 3, **options}
    succeeded(run(*material.words(tmp_path / "a", num_train_epochs=2, **options)))
    succeeded(run(*material.words(tmp_path / "b", num_train_epochs=1, **options)))
    succeeded(run(*material.words(tmp_path / "b", "--resume", num_train_epochs=2, **options)))
    name = "adapter_model.safetensors" if "lora_rank" in options else "model.safetensors"
    assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()
    assert steps_of(tmp_path / "a") == steps_of(tmp_path / "b")


# 4 rows to forget, 2 a step: a pass has 2 steps, and most of these runs end within one.
ENDS = {
    "a pass": {"num_train_epochs": 2},
    "max steps": {"max_steps": 3},
    "part of a pass": {"num_train_epochs": 1.5},
    "no checkpoints": {"max_steps": 3, "save_strategy": "no"},
    "checkpoints by steps": {"max_steps": 3, "save_strategy": "steps", "save_steps": 2},
}


@pytest.mark.parametrize("end", ENDS)
def test_a_run_that_is_done_is_done(material, tmp_path, end):
    folder = tmp_path / "run"
    words = material.words(folder, per_device_train_batch_size=2, **ENDS[end])
    succeeded(run(*words))
    before = everything_in(folder)
    for _ in range(2):
        outcome = succeeded(run(*words, "--resume"))
        assert outcome.out == f"The run in {folder} is done: nothing is left to do, and nothing was changed.\n"
        assert everything_in(folder) == before
    if "save_strategy" in ENDS[end]:
        return
    # Its files are made again from its checkpoint, without a further step.
    weights, steps = weights_of(folder), steps_of(folder)
    for name in ("model.safetensors", "report/training_log.json", "report/curves.png"):
        (folder / name).unlink()
    succeeded(run(*words, "--resume"))
    assert (weights_of(folder), steps_of(folder)) == (weights, steps)
    assert run(*words, "--resume").out.startswith(f"The run in {folder} is done")


def test_a_run_that_was_done_goes_on_where_more_is_asked_for_and_not_where_less_is(material, tmp_path):
    options = {"per_device_train_batch_size": 2}
    succeeded(run(*material.words(tmp_path / "a", max_steps=5, **options)))
    succeeded(run(*material.words(tmp_path / "b", max_steps=3, **options)))
    succeeded(run(*material.words(tmp_path / "b", "--resume", max_steps=5, **options)))
    assert weights_of(tmp_path / "a") == weights_of(tmp_path / "b")
    assert steps_of(tmp_path / "a") == steps_of(tmp_path / "b")
    outcome = run(*material.words(tmp_path / "b", "--resume", max_steps=4, **options))
    assert outcome.status == 2
    assert "checkpoint-5 is 5 steps far, and --max-steps or --num-train-epochs ask for 4" in outcome.error


FINETUNE = ["--save-strategy=epoch", "--per-device-train-batch-size=4", "--vocab-size=300"]


@pytest.mark.parametrize(
    "options",
    [
        ["--max-steps=3", "--stop-loss=none"],
        ["--num-train-epochs=1.4", "--stop-loss=none"],
        ["--stop-loss=5.5", "--logging-strategy=steps", "--logging-steps=3", "--learning-rate=1e-3"],
    ],
    ids=["max steps", "part of a pass", "stop loss"],
)
def test_finetuning_that_is_done_is_done(material, tmp_path, options):
    folder = tmp_path / "run"
    words = ["finetune", "--model", material.shape, "--train", material.data / "full.jsonl", "--output", folder]
    succeeded(run(*words, *FINETUNE, *options))
    before = everything_in(folder)
    outcome = succeeded(run(*words, *FINETUNE, *options, "--resume"))
    assert outcome.out == f"The run in {folder} is done: nothing is left to do, and nothing was changed.\n"
    assert everything_in(folder) == before
    (folder / "model.safetensors").unlink()
    succeeded(run(*words, *FINETUNE, *options, "--resume"))
    assert (folder / "model.safetensors").read_bytes() == before["model.safetensors"]


def test_finetune_goes_on_too(material, tmp_path):
    words = ["--model", material.shape, "--train", material.data / "full.jsonl", "--vocab-size", 300]
    words += ["--save-strategy", "epoch", "--lr-scheduler-type", "constant", "--stop-loss", "none"]
    succeeded(run("finetune", *words, "--output", tmp_path / "a", "--num-train-epochs", 2))
    succeeded(run("finetune", *words, "--output", tmp_path / "b", "--num-train-epochs", 1, "--keep-checkpoints"))
    succeeded(run("finetune", *words, "--output", tmp_path / "b", "--num-train-epochs", 2, "--resume"))
    assert weights_of(tmp_path / "a") == weights_of(tmp_path / "b")


@pytest.mark.parametrize("command", ["unlearn", "finetune"])
def test_a_run_that_an_earlier_version_began_goes_on(material, tmp_path, command):
    """Its checkpoints lie directly in the output folder. A run that is done keeps none of them."""
    whole, begun = tmp_path / "whole", tmp_path / "begun"
    named = {"per_device_train_batch_size": 2, "save_strategy": "steps", "save_steps": 1, "keep_checkpoints": None}
    if command == "unlearn":
        words = {folder: material.words(folder, **named) for folder in (whole, begun)}
    else:
        trained = [f"--model={material.model}", f"--train={material.retain}", "--stop-loss=none"]
        trained += [f"--{name.replace('_', '-')}={value}" for name, value in named.items() if value is not None]
        words = {folder: ["finetune", *trained, f"--output={folder}"] for folder in (whole, begun)}
    succeeded(run(*words[whole], "--max-steps", 5))
    succeeded(run(*words[begun], "--max-steps", 3, "--keep-checkpoints"))
    kept = checkpoints_of(begun)
    assert kept[0].name == "checkpoint-3"
    for checkpoint in kept:
        checkpoint.rename(begun / checkpoint.name)
    (begun / "checkpoints").rmdir()
    succeeded(run(*words[begun], "--max-steps", 5, "--resume"))
    assert weights_of(begun) == weights_of(whole)
    assert sorted(everything_in(begun)) == sorted(everything_in(whole))
    for folder in (begun, whole):
        assert not list(folder.rglob("*checkpoint*"))


@pytest.fixture(scope="module")
def finetuned(material, tmp_path_factory: pytest.TempPathFactory) -> tuple[list[str], Path]:
    """Words of a finetuning run from a shape and a tokenizer, without output, and its output folder."""
    folder = tmp_path_factory.mktemp("finetuned") / "run"
    words = ["finetune", "--num-train-epochs=1", "--save-strategy=epoch", "--stop-loss=none", "--keep-checkpoints"]
    words += [f"--model={material.shape}", f"--train={material.retain}", f"--tokenizer={material.model}"]
    succeeded(run(*words, "--output", folder))
    return words, folder


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ("--seed=1", "the run in FOLDER has --seed 42, not 1; give the same options"),
        ("--learning-rate=0.1", "the run in FOLDER has --learning-rate auto, not 0.1; give the same options"),
        ("--train=OTHER/rows.jsonl", "--train does not hold what it held when the run in FOLDER began"),
        ("--model=OTHER/shape.json", "--model does not hold what it held when the run in FOLDER began"),
        ("--model=llama-micro", "--model does not hold what it held when the run in FOLDER began"),
        ("--tokenizer=OTHER/tokenizer", "--tokenizer does not hold what it held when the run in FOLDER began"),
    ],
)
def test_finetune_refuses_another_run(material, finetuned, tmp_path, change, message):
    words, folder = finetuned
    write_rows(tmp_path / "rows.jsonl", [{"question": "Who?", "answer": "Nobody."}])
    shape = json.loads(material.shape.read_text()) | {"intermediate_size": 96}
    (tmp_path / "shape.json").write_text(json.dumps(shape))
    train_tokenizer(["other words"], vocab_size=300).save_pretrained(tmp_path / "tokenizer")
    before = everything_in(folder)
    same = [word for word in words if not word.startswith(change.partition("=")[0] + "=")]
    outcome = run(*same, "--output", folder, "--resume", change.replace("OTHER", str(tmp_path)))
    assert outcome.status == 2
    assert outcome.error.startswith(f"--resume: {message}".replace("FOLDER", str(folder)))
    assert everything_in(folder) == before


def test_finetune_goes_on_with_the_same_in_another_place(material, finetuned, copy_of):
    words, folder = finetuned
    changed = [f"--model={copy_of(material.shape.parent) / 'shape.json'}", f"--tokenizer={copy_of(material.model)}"]
    succeeded(run(*words, "--output", copy_of(folder), "--resume", "--num-train-epochs=2", *changed))


def test_the_manifest_of_finetune_tells_shape_and_tokenizer(material, finetuned):
    _, folder = finetuned
    model = json.loads((folder / "manifest.json").read_text())["model"]
    assert (model["shape"], model["sha256"]) == (str(material.shape), sha256_file(material.shape))
    assert model["tokenizer"]["files"]["tokenizer.json"] == sha256_file(material.model / "tokenizer.json")


# ---- what is refused --------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def finished(material, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Output folder of a run of one epoch."""
    folder = tmp_path_factory.mktemp("finished") / "run"
    succeeded(run(*material.words(folder, num_train_epochs=1)))
    return folder


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"seed": 1}, "has --seed 42, not 1; give the same options, or another --output"),
        ({"learning_rate": "auto:1e-3"}, "has --learning-rate auto, not auto:0.001"),
        ({"method": "gd"}, "has --method ngdiff, not gd"),
        ({"lora_rank": 2}, "has --lora-rank 0, not 2"),
        ({"weight_decay": 0.1}, "has --weight-decay 0.0, not 0.1"),
        ({"adam_beta2": 0.9}, "has --adam-beta2 0.999, not 0.9"),
        ({"per_device_train_batch_size": 2}, "has --per-device-train-batch-size 8, not 2"),
        ({"autolr_interval": 3}, "has --autolr-interval 10, not 3"),
    ],
    ids=lambda value: next(iter(value)) if isinstance(value, dict) else "",
)
def test_other_options_are_refused_by_name(material, finished, options, message):
    before = everything_in(finished)
    outcome = run(*material.words(finished, "--resume", **{"num_train_epochs": 2, **options}))
    assert outcome.status == 2
    assert outcome.error.startswith(f"--resume: the run in {finished} {message}")
    assert everything_in(finished) == before


@pytest.mark.parametrize(
    ("options", "message"),
    [({"lora_alpha": 4}, "--lora-alpha changes nothing without --lora-rank"), ({"seed": 1}, "has --seed 42, not 1")],
    ids=["refused", "another"],
)
def test_a_run_that_another_version_began_says_so_where_it_cannot_go_on(
    material, finished, monkeypatch, options, message
):
    """Its own options may be what this version refuses."""
    more = {"num_train_epochs": 2, **options}
    of_this = run(*material.words(finished, "--resume", **more))
    assert message in of_this.error
    assert "was begun by ngdiff" not in of_this.error
    version = ngdiff.__version__
    monkeypatch.setattr(ngdiff, "__version__", "99.1")
    of_another = run(*material.words(finished, "--resume", **more))
    assert of_another.status == 2
    assert of_another.error == (
        f"{of_this.error} (the run in {finished} was begun by ngdiff {version}, and this is 99.1: continue it with "
        "that version, or start again with --overwrite in place of --resume)"
    )
    assert "was begun by ngdiff" not in run(*material.words(finished, **more)).error


@pytest.mark.parametrize("role", ["forget", "retain"])
def test_other_rows_are_refused_whatever_the_name_of_the_file(material, finished, tmp_path, role):
    other = write_rows(tmp_path / f"{role}.jsonl", [{"question": "Who?", "answer": "Nobody."}])
    before = everything_in(finished)
    outcome = run(*material.words(finished, "--resume", **{role: other}))
    assert outcome.status == 2
    assert outcome.error.startswith(f"--resume: --{role} does not hold what it held when the run in {finished} began")
    assert everything_in(finished) == before


def test_another_model_is_refused(material, finished, model_with_dropout):
    outcome = run(*material.words(finished, "--resume", model=model_with_dropout))
    assert outcome.status == 2
    assert outcome.error.startswith("--resume: --model does not hold what it held")


def test_the_same_rows_and_model_in_another_place_are_the_same(
    material, finished, copy_of: Callable[[Path], Path], monkeypatch
):
    data, model, run_folder = copy_of(material.data), copy_of(material.model), copy_of(finished)
    monkeypatch.chdir(data)
    options = {"forget": "forget.jsonl", "retain": os.path.relpath(material.retain), "model": model}
    succeeded(run(*material.words(run_folder, "--resume", num_train_epochs=2, **options)))


def test_without_a_checkpoint_it_starts_from_the_beginning(material, tmp_path, caplog):
    options = {"max_steps": 2, "save_strategy": "no"}
    folder = tmp_path / "run"
    succeeded(run(*material.words(folder, **options)))
    whole = weights_of(folder), steps_of(folder)
    for gone in ("model.safetensors", "report/training_log.json", "config.yaml", "manifest.json"):  # from last to first
        (folder / gone).unlink()
        if gone in ("report/training_log.json", "config.yaml", "manifest.json"):
            (folder / "model.safetensors").unlink()
        if gone == "manifest.json":  # killed before anything of ours was there
            shutil.rmtree(folder)
            folder.mkdir()
        with caplog.at_level(logging.INFO):
            succeeded(run(*material.words(folder, "--resume", **options)))
        assert f"--resume: {folder} holds no checkpoint yet; the run starts from its beginning" in caplog.text
        assert (weights_of(folder), steps_of(folder)) == whole
        caplog.clear()


def test_without_a_checkpoint_a_model_is_not_trained_again(material, tmp_path):
    options = {"save_strategy": "no"}
    succeeded(run(*material.words(tmp_path / "run", max_steps=1, **options)))
    before = everything_in(tmp_path / "run")
    outcome = run(*material.words(tmp_path / "run", "--resume", max_steps=2, **options))
    assert outcome.status == 2
    assert outcome.error == (
        f"--resume: {tmp_path / 'run'} holds a model and no complete checkpoint, so its run cannot continue "
        "(--keep-checkpoints keeps those of a finished run); start again, with --overwrite or another "
        "--output"
    )
    assert everything_in(tmp_path / "run") == before


def test_other_answers_of_idk_file_are_refused_whatever_the_name(material, tmp_path):
    answers, same = tmp_path / "idk.txt", tmp_path / "same.txt"
    answers.write_text("No idea.\nWho knows?\n")
    same.write_text("No idea.\n\n  Who knows?")
    options = {"method": "idk", "per_device_train_batch_size": 2}
    folder = tmp_path / "run"
    succeeded(run(*material.words(folder, num_train_epochs=1, idk_file=answers, **options)))
    assert "No idea" not in (folder / "manifest.json").read_text()
    succeeded(run(*material.words(folder, "--resume", num_train_epochs=2, idk_file=same, **options)))
    answers.write_text("No idea.\nWho knows!\n")
    before = everything_in(folder)
    refusals = {
        answers: "--idk-file does not hold what it held when the run in",
        None: f"the run in {folder} was begun with --idk-file {same}; give the same",
    }
    for other, message in refusals.items():
        outcome = run(*material.words(folder, "--resume", num_train_epochs=3, idk_file=other, **options))
        assert outcome.status == 2
        assert outcome.error.startswith(f"--resume: {message}")
    assert everything_in(folder) == before


OWN = """
from own_part import WEIGHT

def half(losses, gramian):
    return WEIGHT, WEIGHT

def ascent(answers):
    return -answers.nll.sum()
"""


@pytest.mark.parametrize("change", ["own_module.py", "own_part.py"])
@pytest.mark.parametrize("option", ["weighting", "forget_objective"])
def test_other_code_of_the_users_is_refused(material, tmp_path, monkeypatch, change, option):
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", list(sys.path))
    Path("own_module.py").write_text(OWN)
    Path("own_part.py").write_text("WEIGHT = 0.5\n")
    options = {option: "own_module:half" if option == "weighting" else "own_module:ascent"}

    def again(*more, **other):
        for name in ("own_module", "own_part"):
            sys.modules.pop(name, None)
        return run(*material.words(tmp_path / "run", *more, **{**options, **other}))

    succeeded(again(max_steps=1))
    succeeded(again("--resume", max_steps=2))
    with Path(change).open("a") as file:
        file.write("\n# another comment\n")
    outcome = again("--resume", max_steps=3)
    assert outcome.status == 2
    name = option.replace("_", "-")
    assert outcome.error.startswith(f"--resume: --{name} does not hold what it held when the run in {tmp_path / 'run'}")
    sys.modules.pop("own_module", None), sys.modules.pop("own_part", None)


def test_checkpoints_of_weights_alone_are_refused(material, tmp_path):
    folder = tmp_path / "run"
    options = {"max_steps": 1, "save_only_model": "true"}
    succeeded(run(*material.words(folder, **options)))
    for given in (options, {**options, "save_only_model": None}):
        outcome = run(*material.words(folder, "--resume", **given))
        assert outcome.status == 2
        assert outcome.error.startswith("--resume: checkpoints of --save-only-model hold no state of the optimizer")


def test_without_a_run(material, tmp_path):
    outcome = run(*material.words(tmp_path / "run", "--resume"))
    assert outcome.status == 2
    assert outcome.error == f"--resume: {tmp_path / 'run'} holds no run to continue."
    assert not (tmp_path / "run").exists()
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "notes.txt").write_text("mine")
    outcome = run(*material.words(tmp_path / "run", "--resume"))
    assert outcome.status == 2
    assert outcome.error == (
        f"--resume: {tmp_path / 'run'} holds no config.yaml of an earlier run; choose another --output, or leave "
        "--resume out to start a run"
    )
    assert everything_in(tmp_path / "run") == {"notes.txt": b"mine"}


def test_resume_and_overwrite(material, finished):
    outcome = run(*material.words(finished, "--resume", "--overwrite"))
    assert outcome.status == 2
    assert outcome.error == "--overwrite and --resume contradict each other; give one of them."
