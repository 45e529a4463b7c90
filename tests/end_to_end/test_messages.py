"""What the commands say: the next command, rows left out, what cannot be asked for."""

import json
import logging
import re
import shlex

import pytest

from .runs import rows_of, run, succeeded, write_rows


def test_unlearn_ends_with_the_command_that_scores_it(material, tmp_path):
    folder = tmp_path / "a folder"
    shared = rows_of(material.retain)[:1]
    forget = write_rows(tmp_path / "forget rows.jsonl", [*rows_of(material.forget), *shared])
    words = material.words(
        folder, "--drop-overlap", forget=forget, num_train_epochs=1, max_length=200, template="plain"
    )
    out = succeeded(run(*words)).out
    before, said, command = out.rstrip().rpartition(f"The model is in {folder}; what it still knows:\n  ")
    assert said
    assert re.fullmatch(r"forget loss: [\d.]+ before, [\d.]+ after\nretain loss: [\d.]+ before, [\d.]+ after\n", before)
    words = shlex.split(command)
    sets = ["--forget", str(forget), "--retain", str(material.retain)]
    assert words[:4] == ["ngdiff", "evaluate", "--model", str(folder)]
    assert words[4:] == [*sets, "--template", "plain", "--max-length", "200", "--drop-overlap"]
    assert "Verbmem" in succeeded(run(*words[1:])).out


def test_it_names_no_option_that_was_not_given(material, tmp_path):
    holdout = write_rows(tmp_path / "holdout.jsonl", [{"question": "Who?", "answer": "Nobody."}])
    out = succeeded(run(*material.words(tmp_path / "u", max_steps=1, holdout=holdout))).out
    sets = f"--forget {material.forget} --retain {material.retain} --holdout {holdout}"
    assert out.endswith(f"\n  ngdiff evaluate --model {tmp_path / 'u'} {sets}\n")


def test_the_retain_loss_says_of_how_many_rows_it_is(material, tmp_path, monkeypatch):
    monkeypatch.setattr("ngdiff.training.mean_loss.SAMPLE_ROWS", 6)
    out = succeeded(run(*material.words(tmp_path / "u", max_steps=1))).out
    assert "\nretain loss (6 of 12 rows, evenly spread): " in out
    extra = json.loads((tmp_path / "u" / "manifest.json").read_text())["extra"]
    assert extra["rows_of_losses"] == {"forget": 4, "retain": 6}


def test_rows_that_are_left_out_are_counted(material, tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="ngdiff")
    forget = write_rows(tmp_path / "f.jsonl", rows_of(material.retain)[:3])
    sets = ["--forget", forget, "--retain", material.retain]
    succeeded(run("evaluate", "--model", material.model, *sets, "--drop-overlap"))
    assert "--drop-overlap: 3 of 12 rows of --retain are left out" in caplog.messages
    caplog.clear()
    succeeded(run("evaluate", "--model", material.model, "--forget", material.forget, "--retain", material.retain))
    assert not [message for message in caplog.messages if "--drop-overlap" in message]


@pytest.mark.parametrize(
    ("option", "message"),
    [
        ("--max-length=257", "--max-length 257 is beyond the model's context of 256 tokens"),
        ("--max-length=0", "--max-length 0 is not from 2 to 1,000,000,000"),
        ("--max-new-tokens=0", "--max-new-tokens 0 is not from 1 to 1,000,000"),
        ("--max-new-tokens=-3", "--max-new-tokens -3 is not from 1 to 1,000,000"),
        ("--tokens-per-batch=0", "--tokens-per-batch 0 is not from 1 to 1,000,000,000"),
    ],
)
def test_evaluate_refuses_before_it_works(material, tmp_path, option, message):
    words = ["--forget", material.forget, "--retain", material.retain, "--output", tmp_path / "e"]
    outcome = run("evaluate", "--model", material.model, *words, option)
    assert outcome.status == 2
    assert outcome.error.rstrip(".").startswith(message)
    assert "losses" not in outcome.err  # the first progress bar
    assert not (tmp_path / "e").exists()


def test_evaluate_names_both_ways_out_of_a_used_folder(material, tmp_path):
    (tmp_path / "file").write_text("")
    words = ["--forget", material.forget, "--retain", material.retain, "--output", tmp_path]
    outcome = run("evaluate", "--model", material.model, *words)
    assert outcome.status == 2
    assert outcome.error == f"--output {tmp_path} is not empty; choose another folder, or give --overwrite or --resume."


@pytest.mark.parametrize("shape", ["llama-micro", "a file"])
def test_no_adapter_on_random_weights(material, tmp_path, shape):
    model = material.shape if shape == "a file" else shape
    words = ["--model", model, "--train", material.retain, "--lora-rank", 2]
    outcome = run("finetune", *words, "--output", tmp_path / "m")
    assert outcome.status == 2
    assert outcome.error == (
        f"--lora-rank 2 with --model {model}: an adapter is of no use without its base, and the random weights of a "
        "shape are not kept; train all weights, or an adapter of a trained model"
    )
    assert not (tmp_path / "m").exists()


def test_no_bars_of_loading_and_writing_in_a_log_file(material, tmp_path):
    words = material.words(tmp_path / "u", max_steps=1)
    sets = ["--forget", material.forget, "--retain", material.retain]
    for command in (
        words,
        ["evaluate", "--model", material.model, *sets],
        [
            "finetune",
            "--model",
            material.model,
            "--train",
            material.forget,
            "--max-steps",
            1,
            "--output",
            tmp_path / "m",
        ],
    ):
        err = succeeded(run(*command)).err
        assert "Loading weights" not in err
        assert "Writing model shards" not in err
