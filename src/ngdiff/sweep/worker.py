"""Run the commands of a sweep in processes of their own, several at once if requested."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from graphlib import TopologicalSorter
from pathlib import Path
from typing import Protocol

from ngdiff.exit_codes import DONE, INTERRUPTED, STOPPED_RESUMABLE
from ngdiff.sweep.jobs import JUDGED, Job, Result
from ngdiff.sweep.record import Record

PROGRAM = (sys.executable, "-m", "ngdiff")
_LINES = 8  # of the log of a failed command, shown to the user
_PAUSE = 0.05  # seconds between two looks at the processes


def work(
    record: Record,
    tell: Callable[[Job, Result], None],
    *,
    jobs: Sequence[Job] | None = None,
    at_once: int = 1,
    program: Sequence[str] = PROGRAM,
    start: "Start | None" = None,
) -> None:
    """Run the jobs of a sweep that are not done, and write its record after each.

    The first job whose needs are met starts, so that a run is finished before the next begins. If a job fails, only the
    jobs that need it are left out. A job with an output folder continues in it (`--resume`), or starts again
    (`--overwrite`) if its inputs were made in this call.

    Args:
        record: Record of the sweep, whose folder exists.
        tell: Called at the end of each job.
        jobs: Those of the record to run, with all that they need; None: all.
        at_once: Number of processes. Several share the cores.
        program: Command line that runs ngdiff.
        start: Starts a job elsewhere (`ngdiff.sweep.on_ray`); None: in a process of this machine.

    Raises:
        KeyboardInterrupt: raised again after all processes were asked to stop and have ended.
    """
    jobs = record.jobs if jobs is None else jobs
    by_name = {job.name: job for job in jobs}
    place = {name: number for number, name in enumerate(by_name)}
    graph = TopologicalSorter({job.name: job.needs for job in jobs})
    graph.prepare()
    ready: list[str] = []
    running: dict[str, Running] = {}
    begin = start or Process

    def end(name: str, result: Result) -> None:
        record.results[name] = result
        record.write()
        tell(by_name[name], result)

    try:
        while graph.is_active():
            ready = sorted([*ready, *graph.get_ready()], key=place.__getitem__)
            while ready and len(running) < at_once:
                job = by_name[name := ready.pop(0)]
                lacking = any(record.results[need].status != "done" for need in job.needs)
                if not lacking and record.results[name].status != "done":
                    running[name] = begin(job, record, [*program], at_once)
                    continue
                if lacking:
                    end(name, Result("left out"))
                graph.done(name)
                ready = sorted([*ready, *graph.get_ready()], key=place.__getitem__)
            for name in [name for name, process in running.items() if process.has_ended()]:
                end(name, running.pop(name).result())
                graph.done(name)
            if running:
                time.sleep(_PAUSE)
    except BaseException:
        _stop(list(running.values()))
        for name, process in running.items():
            record.results[name] = process.result()
        record.write()
        raise


class Running(Protocol):
    """A job that was started."""

    def has_ended(self) -> bool:
        """Whether it has ended, without waiting."""
        ...

    def send(self, number: int) -> None:
        """Send a signal, if it is still running."""
        ...

    def result(self) -> Result:
        """Wait for its end; its result."""
        ...


Start = Callable[[Job, Record, list[str], int], Running]


def _stop(processes: Sequence[Running]) -> None:
    """Ask the processes to stop, as a batch system would, and wait while they save. A second Ctrl-C ends them."""
    try:
        for process in processes:
            process.send(signal.SIGTERM)
        for process in processes:
            process.result()
    except KeyboardInterrupt:
        for process in processes:
            process.send(signal.SIGKILL)


class Process:
    """A running job, in a session of its own, so that Ctrl-C in a terminal reaches it only through `_stop`."""

    def __init__(self, job: Job, record: Record, program: list[str], at_once: int) -> None:
        self._log, self._begun = job.log(record.folder), time.monotonic()
        self._log.parent.mkdir(parents=True, exist_ok=True)
        words = command_line(job, record, program)
        with self._log.open("w", encoding="utf-8") as stream:
            self._process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, env=_environment(at_once),
                start_new_session=True,
            )  # fmt: skip

    def has_ended(self) -> bool:
        """Whether it has ended, without waiting."""
        return self._process.poll() is not None

    def send(self, number: int) -> None:
        """Send a signal, if it is still running."""
        if not self.has_ended():
            self._process.send_signal(number)

    def result(self) -> Result:
        """Wait for its end; its result."""
        return result_of(self._process.wait(), self._begun, self._log)


def command_line(job: Job, record: Record, program: Sequence[str]) -> list[str]:
    """The words that run a job."""
    return [*program, job.command, *job.words, "--output", str(job.place(record.folder)), *going_on(job, record)]


def result_of(code: int, begun: float, log: Path) -> Result:
    """The result of a job that has ended.

    Args:
        code: Its exit code.
        begun: When it began, on the clock of `time.monotonic`.
        log: File with its output.
    """
    seconds = round(time.monotonic() - begun, 1)
    if code == DONE or code in JUDGED:
        return Result("done", code, seconds)
    if code in (STOPPED_RESUMABLE, INTERRUPTED):
        return Result("stopped", code, seconds)
    lines = log.read_text(encoding="utf-8", errors="replace").splitlines()
    # Only the last state of a progress bar.
    return Result("failed", code, seconds, "\n".join(line.rsplit("\r", 1)[-1] for line in lines[-_LINES:]))


def going_on(job: Job, record: Record) -> list[str]:
    """The option for results of an earlier call: `--resume`, `--overwrite` or none."""
    if not job.left_results(record.folder):
        return []
    made_now = any(not record.results[need].earlier for need in job.needs)
    return ["--overwrite" if made_now or job.command == "score" else "--resume"]


def _environment(at_once: int) -> dict[str, str]:
    environment = {**os.environ, "TOKENIZERS_PARALLELISM": "false"}
    if at_once > 1:  # several thread pools of the size of the machine would slow each other down
        environment.setdefault("OMP_NUM_THREADS", str(max(1, _cores() // at_once)))
    return environment


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
