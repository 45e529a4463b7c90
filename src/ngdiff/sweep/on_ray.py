"""Run the commands of a sweep on the machines of a Ray cluster, each as a task that starts the command there."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType
from typing import Any, Self

from ngdiff.errors import InputError
from ngdiff.exit_codes import INTERRUPTED
from ngdiff.sweep.jobs import Job, Result
from ngdiff.sweep.record import Record
from ngdiff.sweep.worker import command_line, result_of

_PAUSE = 0.1  # seconds between two looks of a task at its command


class RayCluster:
    """A connection to Ray, for the time of a `with` block. Its method `start` is that of `work`.

    All machines must have ngdiff installed, and see the sweep's folder and the inputs under the same paths: logs and
    results are written there by the commands themselves.

    Args:
        address: Of the cluster, as `ray.init` takes it; `local`: one of this machine's own, for the time of the block.
        cores: Of a local one; None: all of the machine.

    Raises:
        InputError: Ray is not installed, or no cluster answers there.
    """

    def __init__(self, address: str, *, cores: int | None = None) -> None:
        try:
            import ray
        except ImportError as error:
            raise InputError("--ray needs ray: pip install 'ngdiff[ray]'") from error
        self._ray, self._address = ray, address
        self._own = {} if cores is None else {"num_cpus": cores}

    def __enter__(self) -> Self:
        try:
            self._ray.init(
                address=self._address,
                log_to_driver=False,
                configure_logging=False,
                **({"include_dashboard": False} if self._address == "local" else {}),
                **self._own,
            )
        except (ConnectionError, ValueError, RuntimeError) as error:
            reason = " ".join(str(error).split())[:300]
            raise InputError(f"--ray {self._address}: no cluster of Ray answers ({reason})") from error
        alive = [node["Resources"] for node in self._ray.nodes() if node["Alive"]]
        self._cores = [int(found["CPU"]) for found in alive if found.get("CPU", 0) >= 1]
        self._accelerators = any(found.get("GPU", 0) >= 1 for found in alive)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._ray.shutdown()

    @property
    def machines(self) -> int:
        """Number of machines that run commands."""
        return len(self._cores)

    def start(self, job: Job, record: Record, program: Sequence[str], at_once: int) -> "RayTask":
        """Hand a job to the cluster: one accelerator where there are some, and a share of the cores."""
        options = {
            "num_cpus": cores_each(self._cores, at_once),
            "num_gpus": 1 if self._accelerators else 0,
            "max_retries": 0,  # a command that was begun continues with its --resume, or not at all
            "scheduling_strategy": "SPREAD",
        }
        return RayTask(self._ray, options, job, record, program)


def cores_each(machines: Sequence[int], at_once: int) -> int:
    """Cores for each command, so that as many as asked for run at once; 1 where there are not enough.

    Args:
        machines: Cores of each machine.
        at_once: Number of commands.

    >>> cores_each([8, 8], 2), cores_each([8, 8], 3), cores_each([8], 1), cores_each([2], 5)
    (8, 4, 8, 1)
    """
    wanted = range(max(machines, default=1), 0, -1)
    return next((each for each in wanted if sum(cores // each for cores in machines) >= at_once), 1)


class RayTask:
    """A job on the cluster; as `ngdiff.sweep.worker.Process`."""

    def __init__(self, ray: Any, options: dict[str, Any], job: Job, record: Record, program: Sequence[str]) -> None:
        self._ray, self._log, self._begun = ray, job.log(record.folder).absolute(), time.monotonic()
        self._log.parent.mkdir(parents=True, exist_ok=True)
        self._request.unlink(missing_ok=True)
        words = command_line(job, record, program)
        program_is_python = words[0] == sys.executable
        remote = ray.remote(**options)(run_command)
        self._task = remote.remote(
            words[1:] if program_is_python else words, str(self._log), str(Path.cwd()), python=program_is_python
        )

    @property
    def _request(self) -> Path:
        """File by which the command is sent a signal, wherever it runs."""
        return signal_file(self._log)

    def has_ended(self) -> bool:
        """Whether it has ended, without waiting."""
        return bool(self._ray.wait([self._task], timeout=0)[0])

    def send(self, number: int) -> None:
        """Send a signal, if it is still running or waits for a machine."""
        if not self.has_ended():
            self._request.write_text(str(int(number)), encoding="utf-8")

    def result(self) -> Result:
        """Wait for its end; its result."""
        try:
            code = self._ray.get(self._task)
        except self._ray.exceptions.RayError as error:  # the machine is gone
            seconds = round(time.monotonic() - self._begun, 1)
            return Result("failed", None, seconds, " ".join(str(error).split())[:500])
        finally:
            self._request.unlink(missing_ok=True)
        return result_of(code, self._begun, self._log)


def signal_file(log: Path) -> Path:
    """Beside a log: the number of the signal that the command is to be sent."""
    return log.with_name(f"{log.name}.signal")


def run_command(words: list[str], log: str, folder: str, *, python: bool) -> int:
    """Run a command on this machine, and hand on the signals that are asked for; its exit code.

    Args:
        words: The command line.
        log: File for its output.
        folder: Where it runs.
        python: Whether the words are for this machine's Python.
    """
    request, sent = signal_file(Path(log)), ""
    if request.exists():  # it was stopped while it waited for a machine
        return INTERRUPTED
    with Path(log).open("w", encoding="utf-8") as stream:
        process = subprocess.Popen(
            [sys.executable, *words] if python else words,
            stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, cwd=folder, start_new_session=True,
            env={**os.environ, "TOKENIZERS_PARALLELISM": "false"},
        )  # fmt: skip
    while process.poll() is None:
        time.sleep(_PAUSE)
        asked = request.read_text(encoding="utf-8") if request.exists() else ""
        if asked.isdecimal() and asked != sent:
            process.send_signal(signal.Signals(int(asked)))
            sent = asked
    return process.returncode
