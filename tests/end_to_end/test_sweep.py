"""A sweep of two methods on the micro model, from its data to its table."""

import json
from collections.abc import Sequence
from pathlib import Path

import pytest
import yaml

from ngdiff.exit_codes import BAD_INPUT, SWEEP_INCOMPLETE
from ngdiff.sweep import Job, Record, Result, worker

from .runs import Material, rows_of, run, succeeded, weights_of, write_rows


class InThisProcess:
    """In place of a process of its own for each command, which would spend seconds on imports."""

    def __init__(self, job: Job, record: Record, program: Sequence[str], at_once: int) -> None:
        more = worker.going_on(job, record)
        done = run(job.command, *job.words, "--output", job.place(record.folder), *more)
        job.log(record.folder).write_text(done.out + done.err)
        self._result = Result("failed" if done.status else "done", done.status, 0.0, done.err)

    def has_ended(self) -> bool:
        return True

    def result(self) -> Result:
        return self._result


@pytest.mark.parametrize("processes", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_sweep_from_its_data_to_its_table(
    processes: bool, material: Material, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    if not processes:
        monkeypatch.setattr(worker, "Process", InThisProcess)
    out = tmp_path / "out"
    forget = write_rows(tmp_path / "forget.jsonl", rows_of(material.forget))
    finetuning = {"model": str(material.shape), "train": str(material.data / "full.jsonl"), "vocab_size": 300}
    content = {
        "grid": {"method": ["ngdiff", "gd"], "seed": [3]},
        "options": {"forget": str(forget), "retain": str(material.retain), "max_steps": 2},
        "stages": {
            "target": {**finetuning, "max_steps": 4},
            "retrained": True,
            "evaluate": {"max_new_tokens": 4},
        },
        "output": str(out),
        "jobs": 2 if processes else 1,
    }
    file = tmp_path / "sweep.yaml"
    file.write_text(yaml.safe_dump(content, sort_keys=False))
    done = succeeded(run("sweep", file))
    names = [f"method={method},seed=3" for method in ("ngdiff", "gd")]
    saved = json.loads((out / "sweep.json").read_text())
    assert {job["status"] for job in saved["jobs"].values()} == {"done"}
    assert list(saved["runs"]) == ["before,seed=3", "retrained,seed=3", *names]
    for name in names:
        assert saved["runs"][name]["metrics"]["distance"]["value"] is not None
        assert f"\n{name} " in done.out
    assert "D (retrained)" in done.out
    assert weights_of(out / names[0] / "model") != weights_of(out / names[1] / "model")
    assert done.out.endswith(succeeded(run("compare", out)).out)

    # One method more, which fails, and a run whose evaluation is lost: no more than that is done.
    (out / names[0] / "evaluation" / "metrics.json").unlink()
    content |= {"grid": {"method": ["ngdiff", "gd", "npo"], "seed": [3]}, "jobs": 1}
    file.write_text(yaml.safe_dump(content, sort_keys=False))
    (out / "method=npo,seed=3").mkdir()
    (out / "method=npo,seed=3" / "model").write_text("in the way")
    again = run("sweep", file, "--resume")
    assert again.status == SWEEP_INCOMPLETE
    assert again.error.startswith(
        "the sweep is incomplete: 3 of 13 commands failed or lack one that failed (method=npo"
    )
    told = [line.partition(" ")[2] for line in again.out.splitlines() if "/13 " in line]
    assert [line.partition(":")[0] for line in told] == [
        *(f"{command} {names[0]}" for command in ("evaluate", "score")),
        *(f"{command} method=npo,seed=3" for command in ("unlearn", "evaluate", "score")),
    ]
    assert "method=npo,seed=3: failed with exit code 2; the end of" in again.out
    assert "this is a file" in again.out

    # Numbers of other rows would stand beside those that are done.
    write_rows(forget, rows_of(forget)[:-1])
    other = run("sweep", file, "--resume")
    assert other.status == BAD_INPUT
    assert other.error.startswith(f"--resume: {forget} has changed since evaluate before,seed=3 read it")


@pytest.mark.parametrize("processes", [False, pytest.param(True, marks=pytest.mark.slow)])
def test_a_search_of_two_trials_that_another_call_goes_on_with(
    processes: bool, material: Material, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    pytest.importorskip("optuna", reason="needs optuna: pip install '.[search]'")
    if not processes:
        monkeypatch.setattr(worker, "Process", InThisProcess)
    out = tmp_path / "out"
    finetuning = {"model": str(material.shape), "train": str(material.data / "full.jsonl"), "vocab_size": 300}
    content = {
        "search": {"learning_rate": {"from": 1e-3, "to": 1e-1, "log": True}, "method": ["ngdiff", "gdiff"]},
        "trials": 2,
        "options": {"forget": str(material.forget), "retain": str(material.retain), "max_steps": 2},
        "stages": {
            "target": {**finetuning, "max_steps": 4},
            "retrained": True,
            "evaluate": {"max_new_tokens": 4},
        },
        "output": str(out),
    }
    file = tmp_path / "search.yaml"
    file.write_text(yaml.safe_dump(content, sort_keys=False))
    done = succeeded(run("sweep", file, "--search"))
    saved = json.loads((out / "sweep.json").read_text())
    assert list(saved["runs"]) == ["before", "retrained", "trial=0", "trial=1"]
    assert {job["status"] for job in saved["jobs"].values()} == {"done"}
    table = done.out[done.out.index("the Pareto front:") :].splitlines()[2:-1]
    for row in table:
        number, distance, utility = row.split()[:3]
        metrics = saved["runs"][f"trial={number}"]["metrics"]
        assert (distance, utility) == (f"{metrics['distance']['value']:.4f}", f"{metrics['utility']:.4f}")
    assert "trial=1" in succeeded(run("compare", out)).out
    weights = [weights_of(out / f"trial={number}" / "model") for number in (0, 1)]
    again = succeeded(run("sweep", file, "--search", "--resume", "--trials", "3"))
    assert "10 commands already done" in again.out
    assert "13/13 score trial=2: done" in again.out
    assert [weights_of(out / f"trial={number}" / "model") for number in (0, 1)] == weights


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of Ray itself
def test_a_sweep_on_a_local_ray(material: Material, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    pytest.importorskip("ray", reason="needs ray: pip install '.[ray]'")
    monkeypatch.setenv("RAY_worker_niceness", "0")  # 15 otherwise: on a busy machine the test would take forever
    content = {
        "grid": {"seed": [0, 1]},
        "options": {
            "model": str(material.model),
            "forget": str(material.forget),
            "retain": str(material.retain),
            "max_steps": 1,
        },
        "stages": {"evaluate": False},
        "output": str(tmp_path / "out"),
    }
    file = tmp_path / "sweep.yaml"
    file.write_text(yaml.safe_dump(content, sort_keys=False))
    done = succeeded(run("sweep", file, "--ray", "local", "--jobs", "2"))
    assert "2/2 unlearn seed=" in done.out
    for seed in (0, 1):
        plain = tmp_path / f"plain-{seed}"
        succeeded(run(*material.words(plain, max_steps=1, seed=seed)))
        assert weights_of(tmp_path / "out" / f"seed={seed}" / "model") == weights_of(plain)
