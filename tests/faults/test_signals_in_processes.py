"""Signals of runs in two processes: all stop after the same step, and the launcher ends with their exit code."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import psutil
import pytest

from ngdiff.checkpoint_places import checkpoints_of
from ngdiff.exit_codes import STOPPED_RESUMABLE

from ..end_to_end.runs import run, steps_of, succeeded, weights_of

pytestmark = pytest.mark.skipif(os.name != "posix", reason="signals of POSIX")

OURS = [sys.executable, "-m", "ngdiff.torchrun", "--standalone", "--nproc-per-node", "2"]
TORCHRUN = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc-per-node", "2", "-m", "ngdiff"]


def stopped(launcher: list[str], words: list[Any], number: signal.Signals, whom: str, log: Path) -> tuple[int, str]:
    """Exit code and messages of a run that gets a signal within its first steps.

    Args:
        whom: "launcher", "second" (process) or "all" (processes).
    """
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    with log.open("w") as err:
        process = subprocess.Popen([*launcher, *map(str, words)], env=environment, stdout=err, stderr=err, text=True)
    try:
        deadline = time.monotonic() + 120
        while ", rate " not in log.read_text():  # the bar shows it after a step
            assert process.poll() is None, log.read_text()
            assert time.monotonic() < deadline, log.read_text()
            time.sleep(0.02)
        children = psutil.Process(process.pid).children()
        if whom == "launcher":
            process.send_signal(number)
        else:
            for child in sorted(children, key=lambda child: child.pid)[0 if whom == "all" else 1 :]:
                child.send_signal(number)
        process.wait(timeout=120)
    finally:
        for child in psutil.Process(process.pid).children() if process.poll() is None else []:
            child.kill()
        process.kill()
        process.wait()
    return process.returncode, log.read_text()


def said(text: str) -> list[str]:
    return [line for line in text.replace("\r", "\n").splitlines() if line.startswith("ngdiff: stopped by ")]


CASES = [
    pytest.param(OURS, signal.SIGTERM, "second", "unlearn", id="only the second process"),
    pytest.param(OURS, signal.SIGINT, "launcher", "finetune", id="Ctrl-C, finetune", marks=pytest.mark.slow),
    pytest.param(OURS, signal.SIGTERM, "second", "finetune", id="only the second, finetune", marks=pytest.mark.slow),
    pytest.param(OURS, signal.SIGUSR1, "launcher", "unlearn", id="SIGUSR1", marks=pytest.mark.slow),
    pytest.param(TORCHRUN, signal.SIGTERM, "all", "unlearn", id="torchrun itself", marks=pytest.mark.slow),
]


@pytest.mark.parametrize(("launcher", "number", "whom", "command"), CASES)
def test_all_processes_stop_together_and_go_on(material, tmp_path, launcher, number, whom, command):
    def words(name: str, size: int, *more: Any) -> list[Any]:
        end = ["--output", tmp_path / name, "--per-device-train-batch-size", size, *more]
        if command == "unlearn":
            return [*material.words(tmp_path / name, save_strategy="no", learning_rate=1e-3, optim="sgd"), *end]
        data = ["--model", material.model, "--train", material.data / "full.jsonl", "--stop-loss", "none"]
        return ["finetune", *data, *end]

    epochs = ["--num-train-epochs", 1000]
    status, text = stopped(launcher, words("run", 1, *epochs), number, whom, tmp_path / "log")
    assert status == (STOPPED_RESUMABLE if launcher is OURS else 1), text[-3000:]
    (line,) = said(text)
    (checkpoint,) = checkpoints_of(tmp_path / "run")
    step = int(checkpoint.name.rpartition("-")[2])
    assert f"after step {step} of " in line
    assert line.endswith("continue with --resume")
    if launcher is OURS:
        assert "Traceback" not in text
        lines = [line for line in text.splitlines() if line.strip() and "it/s" not in line]
        assert len(lines) < 12, text
    if command == "finetune":
        return  # the order of rows is that of two processes
    passes = ["--num-train-epochs", step // 2 + 2]  # of two steps
    succeeded(run(*words("run", 2, *passes, "--resume")))
    succeeded(run(*words("whole", 2, *passes)))
    one, other = steps_of(tmp_path / "run"), steps_of(tmp_path / "whole")
    assert len(one) == len(other)
    for a, b in zip(one, other, strict=True):
        assert a["loss_forget"] == pytest.approx(b["loss_forget"], rel=1e-4), a["step"]
    assert weights_of(tmp_path / "run").keys() == weights_of(tmp_path / "whole").keys()
