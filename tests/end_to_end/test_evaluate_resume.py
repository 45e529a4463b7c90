"""`ngdiff evaluate`, killed and resumed, and in several processes: the records are those of an undisturbed run."""

import json
import os
import signal
import subprocess
import sys
import time
from typing import Any

import pytest

from ngdiff.evaluation.journal import Journal

from .runs import evaluate_words, everything_in, records_of, rows_of, run, start, succeeded

# ---- killed and resumed ----


def test_killed_after_every_batch_and_resumed(material, tmp_path, whole, monkeypatch):
    """The records are those of an undisturbed run, byte for byte, and no batch is computed twice."""
    added = []
    keep = Journal.add

    def die_at(count: int) -> None:
        def add(self: Journal, *entry: Any) -> None:
            keep(self, *entry)
            added.append(entry[:2])
            if len(added) == count:
                raise KeyboardInterrupt

        monkeypatch.setattr(Journal, "add", add)

    out = tmp_path / "e"
    words = evaluate_words(material, out, "--tokens-per-batch", 80, "--grad-norm")
    die_at(3)
    assert run(*words).status == 75
    assert not (out / "metrics.json").exists()
    assert json.loads((out / "manifest.json").read_text())["extra"]["finished"] is False
    assert (out / "private" / ".gitignore").read_text() == "*\n"
    assert (out / "private").stat().st_mode & 0o777 == 0o700
    assert run(*words).error == f"--output {out} is not empty; choose another folder, or give --overwrite or --resume."
    for count in (9, 20):
        die_at(count)
        assert run(*words, "--resume").status == 75
    die_at(0)
    succeeded(run(*words, "--resume"))
    assert records_of(out) == records_of(whole)
    assert (out / "metrics.json").read_bytes() == (whole / "metrics.json").read_bytes()
    assert [path.name for path in (out / "private").glob("partial*")] == []
    batches = [(stage, tuple(items)) for stage, items in added]
    assert len(set(batches)) == len(batches)
    assert {stage.split(",")[0] for stage, _ in batches} == {"losses", "gradients", "answers"}


def test_a_finished_evaluation_is_shown_again(material, whole, copy_of):
    folder = copy_of(whole)
    before = everything_in(folder)
    outcome = succeeded(run(*evaluate_words(material, folder, "--tokens-per-batch", 80, "--grad-norm", "--resume")))
    assert "forget (4)" in outcome.out
    assert everything_in(folder) == before


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--tokens-per-batch", 81], "has --tokens-per-batch 80, not 81; give the same options"),
        (["--template", "{question} {answer}"], "has --template auto, not {question} {answer}; give the same options"),
        (["--max-new-tokens", 5], "was begun without --max-new-tokens 5"),
        (["--forget", "RETAIN", "--retain", "FORGET"], "--forget does not hold what it held when the run in"),
        (["--model", "OTHER"], "--model does not hold what it held when the run in"),
        (["--base-model", "OTHER"], "was begun without --base-model "),
    ],
)
def test_another_run_is_refused(material, whole, copy_of, options, message):
    folder = copy_of(whole)
    (folder / "metrics.json").unlink()
    before = everything_in(folder)
    other = copy_of(material.model)
    config = json.loads((other / "config.json").read_text())
    (other / "config.json").write_text(json.dumps({**config, "rms_norm_eps": 1e-4}))
    names = {"RETAIN": material.retain, "FORGET": material.forget, "OTHER": other}
    words = evaluate_words(material, folder, "--tokens-per-batch", 80, "--grad-norm", "--resume")
    for given in [word for word in options if word in words]:  # a set may be given but once
        place = words.index(given)
        del words[place : place + 2]
    outcome = run(*words, *(names.get(word, word) for word in options))
    assert outcome.status == 2
    assert message in outcome.error
    assert everything_in(folder) == before


def test_killed_for_real(material, tmp_path, whole):
    out = tmp_path / "e"
    words = evaluate_words(material, out, "--tokens-per-batch", 80, "--grad-norm")
    process = start(words)
    partial = out / "private" / "partial.0.jsonl"
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline and process.poll() is None and not (partial.is_file() and partial.stat().st_size):
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    process.communicate()
    assert process.returncode == -signal.SIGKILL
    assert partial.stat().st_size > 0
    succeeded(run(*words, "--resume"))
    assert records_of(out) == records_of(whole)


# ---- several processes ----


def torchrun(words: list[Any], processes: int = 2) -> "subprocess.CompletedProcess[str]":
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", str(processes)]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    command = [*launcher, "-m", "ngdiff", *map(str, words)]
    return subprocess.run(command, env=environment, capture_output=True, text=True, timeout=180, check=False)


def test_two_processes_give_the_records_of_one(material, tmp_path, whole):
    out = tmp_path / "e"
    done = torchrun(evaluate_words(material, out, "--tokens-per-batch", 80, "--grad-norm"))
    assert done.returncode == 0, done.stderr[-3000:]
    assert done.stdout.count("forget (4)") == 1  # one of them prints
    assert json.loads((out / "manifest.json").read_text())["extra"] == {"finished": True, "processes": 2}
    assert records_of(out).keys() == records_of(whole).keys()
    for name in records_of(whole):
        one, two = (rows_of(folder / "private" / name) for folder in (whole, out))
        for a, b in zip(one, two, strict=True):
            assert a.keys() == b.keys()
            for key in ("index", "origin", "prompt", "reference", "generated", "n_tokens", "token_hit"):
                assert a[key] == b[key]
            for key in ("nll_sum", "grad_norm", "token_nll"):
                assert a[key] == pytest.approx(b[key], rel=1e-5, abs=1e-6)
    assert [path.name for path in (out / "private").glob("partial*")] == []


def test_what_two_began_one_ends(material, tmp_path, whole, copy_of):
    """Partial files of two processes, as a kill leaves them."""
    folder = copy_of(whole)
    (folder / "metrics.json").unlink()
    words = evaluate_words(material, folder, "--tokens-per-batch", 80, "--grad-norm", "--resume")
    first = rows_of(folder / "private" / "records_forget.jsonl")[0]
    second = 1 + (first["paraphrased"] is not None) + len(first["perturbed"])  # where its reference stands in the plan
    for rank, index in ((0, 0), (1, second)):
        Journal(folder / "private", rank).add("gradients", [index], [1234.5])
    succeeded(run(*words))
    found = [r for name in ("forget", "retain") for r in rows_of(folder / "private" / f"records_{name}.jsonl")]
    assert sum(r["grad_norm"] == 1234.5 for r in found) == 2  # taken from the files and not computed again


@pytest.mark.slow
def test_a_used_folder_is_refused_by_the_first_and_nobody_waits(material, whole, copy_of):
    folder = copy_of(whole)
    before = everything_in(folder)
    done = torchrun(evaluate_words(material, folder))
    assert done.returncode != 0
    assert f"ngdiff: error: --output {folder} is not empty; " in done.stderr
    assert everything_in(folder) == before


def test_an_error_of_a_row_ends_all_processes(material, tmp_path):
    done = torchrun(evaluate_words(material, tmp_path / "e", "--max-length", 3))
    assert done.returncode != 0
    assert "ngdiff: error: " in done.stderr
    assert not (tmp_path / "e").exists()
