"""Resumed runs are those that were not interrupted: order of rows, logged losses, best model; old checkpoints."""

import json
import shutil
from pathlib import Path

import pytest
import torch
from transformers import AutoModelForCausalLM, GPTNeoXConfig, GPTNeoXForCausalLM

from ngdiff.checkpoint_places import checkpoint_folder, checkpoints_of
from ngdiff.checksums import LIST, write_checksums
from ngdiff.data import fictional_people, read_rows, resolve_template
from ngdiff.errors import InputError
from ngdiff.modeling import build_model, train_tokenizer
from ngdiff.training import checkpoint as checkpoint_module
from ngdiff.training import checkpointed
from ngdiff.training.checkpoint import make_place, newest_whole, remove_surplus
from ngdiff.training.finetune import FinetuneConfig, finetune
from ngdiff.training.finetune_images import ImageFinetuneConfig, finetune_images

from .image_cases import PREPARATION, classifier, images

ROWS = read_rows(fictional_people(6))  # of different lengths: their order in a pass is drawn by length
TOKENIZER = train_tokenizer([text for row in ROWS for text in (row.prompt, row.answer)], vocab_size=300)
TEMPLATE = resolve_template("auto", TOKENIZER, ROWS)


def state(model):
    return {name: value.clone() for name, value in model.state_dict().items()}


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(one[name], other[name]) for name in one)


def figures(trainer):
    clock = ("train_runtime", "train_samples_per_second", "train_steps_per_second", "train_loss")
    return [row for row in trainer.state.log_history if not set(clock) & set(row)]


@pytest.mark.parametrize("strategy", ["group_by_length", "random"])
def test_finetuning_resumed_within_a_pass_sees_the_rest_of_it(tmp_path, strategy):
    options = {
        "num_train_epochs": 3,
        "save_strategy": "steps",
        "save_steps": 4,
        "per_device_train_batch_size": 4,
        "use_cpu": True,
        "disable_tqdm": True,
        "report_to": [],
        "stop_loss": None,
        "train_sampling_strategy": strategy,
        "output_dir": str(tmp_path),
    }
    ends = []
    for resume in (False, str(checkpoint_folder(tmp_path, 8)), str(checkpoint_folder(tmp_path, 12))):
        model = build_model("llama-micro", TOKENIZER, seed=0)
        result = finetune(model, TOKENIZER, ROWS, TEMPLATE, FinetuneConfig(**options), resume=resume)
        ends.append((state(model), result.losses))
    assert len(ROWS) == 48  # 12 steps a pass: within it, and at its end
    assert len(ends[0][1]) == 3
    for weights, losses in ends[1:]:
        assert same(weights, ends[0][0])
        assert losses == ends[0][1]


def test_images_resumed_within_a_pass_see_the_rest_of_it(tmp_path):
    options = {
        "output_dir": str(tmp_path),
        "use_cpu": True,
        "disable_tqdm": True,
        "report_to": [],
        "per_device_train_batch_size": 8,
        "num_train_epochs": 3,
        "save_strategy": "steps",
        "save_steps": 5,
    }
    ends = []
    for resume in (False, str(checkpoint_folder(tmp_path, 5))):
        model = classifier()
        result = finetune_images(model, images(32, 0), PREPARATION, ImageFinetuneConfig(**options), resume=resume)
        ends.append((state(model), result.losses))
    assert same(ends[0][0], ends[1][0])
    assert ends[0][1] == ends[1][1]


def test_figures_between_two_log_lines_are_kept(make_trainer, tmp_path):
    options = {
        "num_train_epochs": 4,
        "save_strategy": "steps",
        "save_steps": 4,
        "logging_steps": 3,
        "save_total_limit": None,
    }
    whole = make_trainer(**options, output=tmp_path)
    whole.train()
    resumed = make_trainer(**options, output=tmp_path)
    resumed.train(resume_from_checkpoint=str(checkpoint_folder(tmp_path, 4)))
    assert figures(resumed) == figures(whole)


# ---- the end of a run ----


def test_nothing_is_trained_where_nothing_is_left(make_trainer, tmp_path):
    options = {"max_steps": 4, "save_strategy": "epoch", "save_total_limit": None}  # a pass has 3 steps
    whole = make_trainer(**options, output=tmp_path)
    whole.train()
    assert not whole.nothing_left
    for _ in range(2):
        again = make_trainer(**options, output=tmp_path)
        again.train(resume_from_checkpoint=True)
        assert again.nothing_left
        assert again.state.global_step == 4
        assert same(state(again.model), state(whole.model))
        assert figures(again) == figures(whole)
    with pytest.raises(
        InputError, match="checkpoint-4 is 4 steps far, and --max-steps or --num-train-epochs ask for 2"
    ):
        make_trainer(**options | {"max_steps": 2}, output=tmp_path).train(resume_from_checkpoint=True)


def test_a_stop_loss_that_was_reached_ends_a_resumed_run_too(tmp_path):
    options = {
        "output_dir": str(tmp_path),
        "use_cpu": True,
        "disable_tqdm": True,
        "report_to": [],
        "save_strategy": "epoch",
        "num_train_epochs": 30,
        "logging_strategy": "steps",
        "logging_steps": 4,
        "per_device_train_batch_size": 4,
    }
    whole = build_model("llama-micro", TOKENIZER, seed=0)
    first = finetune(whole, TOKENIZER, ROWS, TEMPLATE, FinetuneConfig(**options, stop_loss=4.5))
    assert first.steps < 100
    assert first.epochs != int(first.epochs)  # within a pass
    again = build_model("llama-micro", TOKENIZER, seed=1)
    second = finetune(again, TOKENIZER, ROWS, TEMPLATE, FinetuneConfig(**options, stop_loss=4.5), resume=True)
    assert second == first
    assert same(state(again), state(whole))
    further = finetune(again, TOKENIZER, ROWS, TEMPLATE, FinetuneConfig(**options, stop_loss=3.0), resume=True)
    assert further.steps > first.steps


def test_a_stop_loss_that_a_pass_reached_ends_a_run_that_was_killed_before_it_said_so(tmp_path):
    """The checkpoint of the last step of a pass is written before the log line of the pass."""
    options = {
        "output_dir": str(tmp_path),
        "use_cpu": True,
        "disable_tqdm": True,
        "report_to": [],
        "save_strategy": "steps",
        "save_steps": 12,  # a pass
        "num_train_epochs": 5,
        "per_device_train_batch_size": 4,
        "stop_loss": 4.5,
    }
    whole = build_model("llama-micro", TOKENIZER, seed=0)
    first = finetune(whole, TOKENIZER, ROWS, TEMPLATE, FinetuneConfig(**options))
    assert first.steps == 24
    at_the_end = json.loads((checkpoint_folder(tmp_path, 24) / "trainer_state.json").read_text())
    assert at_the_end["log_history"][-1]["step"] == 12
    again = build_model("llama-micro", TOKENIZER, seed=1)
    assert finetune(again, TOKENIZER, ROWS, TEMPLATE, FinetuneConfig(**options), resume=True) == first
    assert same(state(again), state(whole))


# ---- the best model ----

BEST = {
    "eval_strategy": "steps",
    "eval_steps": 2,
    "save_strategy": "steps",
    "save_steps": 2,
    "max_steps": 8,
    "load_best_model_at_end": True,
    "metric_for_best_model": "eval_retain_loss",
    "learning_rate": 0.05,
    "method": "ga",
    "optim": "sgd",
    "max_grad_norm": 1.0,
    "save_total_limit": 1,
}


def neox(seed=0):
    torch.manual_seed(seed)
    config = GPTNeoXConfig(
        vocab_size=64,
        hidden_size=16,
        intermediate_size=32,
        num_hidden_layers=2,
        num_attention_heads=4,
        max_position_embeddings=64,
        initializer_range=0.2,
        hidden_dropout=0.0,
        attention_dropout=0.0,
    )
    return GPTNeoXForCausalLM(config)


def test_the_best_model_is_that_of_its_checkpoint(make_trainer, tmp_path):
    """Ascent makes the retain loss worse with every step, so that the first checkpoint is the best."""
    trainer = make_trainer(neox(), **BEST, output=tmp_path)
    trainer.train()
    assert trainer.state.best_global_step == 2
    assert [path.name for path in checkpoints_of(tmp_path)] == ["checkpoint-2"]  # a limit of one keeps it alone
    stored = AutoModelForCausalLM.from_pretrained(checkpoint_folder(tmp_path, 2))
    assert same(state(trainer.model), state(stored))
    losses = [row["eval_retain_loss"] for row in trainer.state.log_history if "eval_retain_loss" in row]
    assert losses == sorted(losses)


def test_a_best_checkpoint_is_found_where_the_run_is_now(make_trainer, tmp_path):
    options = {**BEST, "save_total_limit": None}
    whole = make_trainer(neox(), **options, output=tmp_path / "a")
    whole.train()
    (tmp_path / "a").rename(tmp_path / "b")
    shutil.rmtree(checkpoint_folder(tmp_path / "b", 8))
    resumed = make_trainer(neox(seed=5), **options, output=tmp_path / "b")
    resumed.train(resume_from_checkpoint=True)
    assert resumed.state.best_model_checkpoint == str(checkpoint_folder(tmp_path / "b", 2))
    assert same(state(resumed.model), state(whole.model))


def test_a_run_does_not_go_on_to_a_best_model_that_is_damaged(make_trainer, tmp_path, caplog):
    options = {**BEST, "save_total_limit": None}
    whole = make_trainer(neox(), **options, output=tmp_path)
    whole.train()
    shutil.rmtree(checkpoint_folder(tmp_path, 8))
    (checkpoint_folder(tmp_path, 2) / "config.json").write_text("{}")
    with pytest.raises(
        InputError, match=r"checkpoint-4: checkpoint-2, the best one so far, is not whole: config\.json"
    ):
        make_trainer(neox(), **options, output=tmp_path).train(resume_from_checkpoint=True)
    assert newest_whole(tmp_path) == str(checkpoint_folder(tmp_path, 6))  # for a run that does not need it


# ---- where they lie ----


def as_an_earlier_version(run_dir: Path) -> None:
    """Move the checkpoints to where earlier versions wrote them."""
    for folder in checkpoints_of(run_dir):
        folder.rename(run_dir / folder.name)
    (run_dir / "checkpoints").rmdir()


def test_they_lie_in_a_folder_of_their_own(make_trainer, tmp_path):
    make_trainer(max_steps=2, save_strategy="steps", save_steps=1, output=tmp_path / "run").train()
    found = sorted(path.relative_to(tmp_path / "run").as_posix() for path in tmp_path.rglob("checkpoint-*"))
    assert found == ["checkpoints/checkpoint-1", "checkpoints/checkpoint-2"]


def test_a_run_of_an_earlier_version_goes_on(make_trainer, tmp_path):
    options = {**BEST, "save_total_limit": None}
    whole = make_trainer(neox(), **options, output=tmp_path)
    whole.train()
    shutil.rmtree(checkpoint_folder(tmp_path, 8))
    as_an_earlier_version(tmp_path)
    resumed = make_trainer(neox(seed=5), **options, output=tmp_path)
    resumed.train(resume_from_checkpoint=True)
    steps = [[row for row in figures(trainer) if "loss_forget" in row] for trainer in (resumed, whole)]
    assert steps[0] == steps[1]
    assert len(steps[0]) == 8
    assert resumed.state.best_model_checkpoint == str(tmp_path / "checkpoint-2")
    assert same(state(resumed.model), state(whole.model))
    assert newest_whole(tmp_path, with_best=True) == str(tmp_path / "checkpoints" / "checkpoint-8")
    assert [path.name for path in (tmp_path / "checkpoints").iterdir()] == ["checkpoint-8"]


def test_checkpoints_of_an_earlier_version_count_in_the_limit(make_trainer, tmp_path):
    options = {**BEST, "save_total_limit": 2}
    make_trainer(neox(), **options | {"max_steps": 4}, output=tmp_path).train()
    as_an_earlier_version(tmp_path)
    make_trainer(neox(), **options, output=tmp_path).train(resume_from_checkpoint=str(tmp_path / "checkpoint-4"))
    assert checkpoints_of(tmp_path) == [tmp_path / "checkpoints" / "checkpoint-8", tmp_path / "checkpoint-2"]


def test_the_folder_of_all_is_on_the_disk_before_one_is_in_it(tmp_path, monkeypatch):
    flushed = []
    monkeypatch.setattr(checkpoint_module, "flush", lambda folder: flushed.append((folder, list(tmp_path.iterdir()))))
    for _ in range(2):
        make_place(tmp_path)
        assert flushed == [(tmp_path, [tmp_path / "checkpoints"])]


# ---- which checkpoint ----


def checkpoint(run_dir: Path, step: int, *, whole: bool = True) -> Path:
    folder = checkpoint_folder(run_dir, step)
    folder.mkdir(parents=True)
    (folder / "trainer_state.json").write_text(json.dumps({"global_step": step}))
    (folder / "scheduler.pt").write_text("state")
    if whole:
        write_checksums(folder)
    return folder


def test_the_newest_whole_one(tmp_path, caplog):
    assert newest_whole(tmp_path) is None
    for step in (2, 10, 9):
        checkpoint(tmp_path, step)
    checkpoint(tmp_path, 11, whole=False)
    checkpoint_folder(tmp_path, 12).write_text("a file")
    checkpoint_folder(tmp_path, 12).with_name("checkpoint-last").mkdir()
    assert newest_whole(tmp_path) == str(checkpoint_folder(tmp_path, 10))
    assert "checkpoint-11 is skipped: SHA256SUMS is missing" in caplog.text
    checkpoint_folder(tmp_path, 10).rename(checkpoint_folder(tmp_path, 13))
    assert newest_whole(tmp_path) == str(checkpoint_folder(tmp_path, 9))
    assert "checkpoint-13 is skipped: it is the checkpoint of step 10, under another name" in caplog.text
    for step in (2, 9):
        (checkpoint_folder(tmp_path, step) / "scheduler.pt").write_text("other")
    with pytest.raises(
        InputError, match=r"holds no complete checkpoint to continue from \(.*checkpoint-9: scheduler.pt is dam"
    ):
        newest_whole(tmp_path)


def test_weights_alone_are_no_checkpoint_to_go_on_from(make_trainer, tmp_path, caplog):
    make_trainer(save_strategy="epoch", save_only_model=True, output=tmp_path).train()
    assert "--save-only-model: no run can continue from such checkpoints" in caplog.text
    with pytest.raises(InputError, match="no state of an optimizer"):
        make_trainer(output=tmp_path).train(resume_from_checkpoint=str(checkpoint_folder(tmp_path, 3)))


@pytest.mark.parametrize(
    ("limit", "best", "left"),
    [
        (None, None, [1, 2, 3, 4, 7]),
        (4, None, [1, 3, 4, 2]),
        (3, None, [1, 3, 4]),
        (2, None, [3, 4]),
        (1, None, [4]),
        (1, 1, [1, 4]),
        (2, 1, [1, 4]),
    ],
)
def test_the_oldest_go_first_and_before_them_those_that_are_not_whole(tmp_path, limit, best, left):
    """2 was not written to its end; 7 is of a run that was resumed from an earlier step."""
    for step in (1, 2, 3, 4, 7):
        checkpoint(tmp_path, step, whole=step != 2)
    remove_surplus(tmp_path, 4, limit=limit, best=best)
    assert {path.name for path in checkpoints_of(tmp_path)} == {f"checkpoint-{step}" for step in left}


def test_the_old_one_goes_after_the_new_one_is_whole(make_trainer, tmp_path, monkeypatch):
    """A kill between the last file and its list leaves the checkpoint before."""
    seen = []

    def die(folder):
        seen.append([path.name for path in checkpoints_of(tmp_path) if (path / LIST).is_file()])
        if len(seen) == 3:
            raise KeyboardInterrupt
        write_checksums(folder)

    monkeypatch.setattr(checkpointed, "write_checksums", die)
    options = {"num_train_epochs": 3, "save_strategy": "steps", "save_steps": 2, "save_total_limit": 1}
    with pytest.raises(KeyboardInterrupt):
        make_trainer(**options, output=tmp_path).train()
    assert seen == [[], ["checkpoint-2"], ["checkpoint-4"]]
    assert newest_whole(tmp_path) == str(checkpoint_folder(tmp_path, 4))
