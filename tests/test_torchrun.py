"""`python -m ngdiff.torchrun`: the exit code of the processes, which have said why."""

import signal
import subprocess
import sys

import pytest
from torch.distributed.elastic.multiprocessing.api import SignalException
from torch.distributed.elastic.multiprocessing.errors import ChildFailedError, ProcessFailure

from ngdiff import exit_codes, torchrun

CODES = [code for name, code in vars(exit_codes).items() if name.isupper() and code]


@pytest.mark.parametrize("code", [*CODES, 77, -9])
def test_what_the_processes_have_said_is_not_said_again(code: int, tmp_path, monkeypatch, capsys) -> None:
    def run(args: object) -> None:
        failure = ProcessFailure(local_rank=0, pid=1, exitcode=code, error_file=str(tmp_path / "none"))
        raise ChildFailedError("ngdiff", {0: failure})

    monkeypatch.setattr(torchrun, "run", run)
    assert torchrun.main(["--nproc-per-node", "2", "unlearn"]) == (code if code > 0 else 128 - code)
    assert (capsys.readouterr().err == "") is (code in CODES)


def test_a_hang_up_adds_no_traceback(monkeypatch, capsys) -> None:
    def run(args: object) -> None:
        raise SignalException("got signal", sigval=signal.SIGHUP)

    monkeypatch.setattr(torchrun, "run", run)
    assert torchrun.main(["--nproc-per-node", "2", "unlearn"]) == 128 + signal.SIGHUP
    assert capsys.readouterr().err == ""


def test_nothing_stands_behind_the_reason_of_the_process_that_ended(tmp_path) -> None:
    words = ["--standalone", "--nproc-per-node", "2", "unlearn", "--model", "m", "--forget", "f", "--retain", "auto"]
    command = [sys.executable, "-m", "ngdiff.torchrun", *words, "--output", str(tmp_path / "u")]
    done = subprocess.run(command, capture_output=True, text=True, timeout=120)
    assert done.returncode == exit_codes.BAD_INPUT
    assert done.stderr.splitlines()[-1].startswith("ngdiff: error: --retain auto makes its rows in one process")
