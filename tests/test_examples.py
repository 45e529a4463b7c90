"""Batch files of Slurm, with stand-ins for its programs."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from ngdiff.cli.tasks import TASKS

SLURM = Path(__file__).parents[1] / "examples" / "slurm"
FILES = sorted(SLURM.glob("*.sbatch"))
SRUN = """#!/usr/bin/env bash
printf '%s\\n' "$@" > "$CALLS/srun"
exit "$STATUS"
"""
SCONTROL = """#!/usr/bin/env bash
if [[ $1 == show ]]; then printf 'first\\nsecond\\n'; else echo "$@" > "$CALLS/scontrol"; fi
"""


@pytest.fixture
def slurm(tmp_path, monkeypatch):
    """Folder with what was called."""
    programs = tmp_path / "programs"
    programs.mkdir()
    for name, text in {"srun": SRUN, "scontrol": SCONTROL}.items():
        (programs / name).write_text(text)
        (programs / name).chmod(0o755)
    for name, value in {
        "PATH": f"{programs}{os.pathsep}{os.environ['PATH']}",
        "CALLS": str(tmp_path),
        "SLURM_JOB_ID": "17",
        "SLURM_NNODES": "2",
        "SLURM_JOB_NODELIST": "[first-second]",
        "SLURM_GPUS_ON_NODE": "4",
        "MODEL": "my model",
        "FORGET": "forget.jsonl",
        "RETAIN": "retain.jsonl",
        "OUT": str(tmp_path / "out"),
    }.items():
        monkeypatch.setenv(name, value)
    return tmp_path


def test_there_are_files():
    assert len(FILES) == 2


@pytest.mark.skipif(shutil.which("bash") is None, reason="batch files are for bash")
@pytest.mark.parametrize("file", FILES, ids=lambda file: file.stem)
@pytest.mark.parametrize(("status", "again"), [(0, False), (2, False), (75, True)])
def test_a_job_that_was_stopped_and_can_go_on_is_queued_again(slurm, monkeypatch, file, status, again):
    monkeypatch.setenv("STATUS", str(status))
    assert subprocess.run(["bash", str(file)], check=False).returncode == status
    assert (slurm / "scontrol").exists() is again
    if again:
        assert (slurm / "scontrol").read_text() == "requeue 17\n"
    words = (slurm / "srun").read_text().splitlines()
    assert (slurm / "out").is_dir()
    assert "--rdzv-endpoint" not in words or words[words.index("--rdzv-endpoint") + 1] == "first:29500"
    values = TASKS["text"].unlearn.parser.parse(words[words.index("unlearn") + 1 :])
    assert values is not None
    assert values["model"] == "my model"
    assert values["resume"] is True
