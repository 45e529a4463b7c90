"""Answers longer than `--max-length`: what the commands say of them, and that all count them alike."""

import json
import logging
import re

import pytest

from .runs import log_of, rows_of, run, steps_of, succeeded, write_rows

LIMIT = 80
SAID = re.compile(
    r"(--\w+): (\d+) of (\d+) rows with a prompt (?:is|are) longer than --max-length 80; (?:it becomes|they become) "
    r"(\d+) windows, to the end of (?:its answer|their answers)\."
)


@pytest.fixture
def long(material, tmp_path):
    """The questions and answers of the retain set, all answers in the first row's."""
    retain = [{key: row[key] for key in ("question", "answer")} for row in rows_of(material.retain)]
    retain[0]["answer"] = " ".join(row["answer"] for row in retain)
    return write_rows(tmp_path / "long.jsonl", retain)


def said_by(caplog):
    return [match.groups() for message in caplog.messages if (match := SAID.fullmatch(message))]


def test_a_run_says_how_many_rows_became_how_many_windows(material, long, tmp_path, caplog, monkeypatch):
    caplog.set_level(logging.INFO, logger="ngdiff")
    monkeypatch.setattr("ngdiff.training.mean_loss.SAMPLE_ROWS", 6)
    words = ["--max-length", LIMIT, "--num-train-epochs", 1, "--per-device-train-batch-size", 2]
    given = material.words(tmp_path / "u", *words, forget=long, retain=material.forget)
    out = succeeded(run(*given)).out
    ((role, parted, of, windows),) = [found for found in said_by(caplog) if found[0] == "--forget"]
    assert int(of) == len(rows_of(long))
    assert int(windows) > 2 * int(parted)
    rows = int(of) - int(parted) + int(windows)
    assert role == "--forget"
    # The same number in the run's own notes, its steps, and in the estimate.
    extra = json.loads((tmp_path / "u" / "manifest.json").read_text())["extra"]
    assert extra["rows_of_losses"]["forget"] == rows
    assert len(steps_of(tmp_path / "u")) == -(-rows // 2)
    assert log_of(tmp_path / "u")["probes"]
    assert re.search(r"^forget loss: ", out)
    assert f" for {-(-rows // 2)} steps" in succeeded(run(*given, "--overwrite", "--dry-run")).out


def test_finetuning_says_so_too_and_evaluation_that_it_measures_the_beginning(material, long, tmp_path, caplog):
    caplog.set_level(logging.INFO, logger="ngdiff")
    words = ["--model", material.model, "--max-length", LIMIT]
    succeeded(run("finetune", *words, "--train", long, "--output", tmp_path / "m", "--max-steps", 1))
    ((role, parted, _, _),) = said_by(caplog)
    assert role == "--train"
    found = succeeded(run("evaluate", *words, "--retain", long, "--output", tmp_path / "e"))
    assert f"rows longer than --max-length: {parted} of 12 were cut; what was cut off is not measured" in found.out


def test_rows_that_differ_beyond_the_first_window_are_not_the_same(material, long, tmp_path):
    other = rows_of(long)[:1]
    other[0]["answer"] += " And more."
    forget = write_rows(tmp_path / "other.jsonl", other)
    words = ["--max-length", LIMIT, "--max-steps", 1]
    succeeded(run(*material.words(tmp_path / "u", *words, forget=forget, retain=long)))
    refused = run(*material.words(tmp_path / "v", *words, forget=write_rows(forget, rows_of(long)[:1]), retain=long))
    assert refused.status == 2
    assert "1 of 12 rows of --retain is also in --forget" in refused.error
