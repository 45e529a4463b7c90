"""The commands of a sweep, run in processes of their own, several at once if asked for."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from graphlib import TopologicalSorter

from ngdiff.exit_codes import DONE, INTERRUPTED, STOPPED_RESUMABLE
from ngdiff.sweep.jobs import Job, Result
from ngdiff.sweep.record import Record

PROGRAM = (sys.executable, "-m", "ngdiff")
_LINES = 8  # of a log, shown where a command failed
_PAUSE = 0.05  # seconds between two looks at the processes


def work(
    record: Record, tell: Callable[[Job, Result], None], *, at_once: int = 1, program: Sequence[str] = PROGRAM
) -> None:
    """Run the jobs of a sweep that are not done, and write its record after each.

    The first of those whose needs are met starts, so that a run is finished before the next begins. A failure keeps
    back those that need the job, and no other. A job whose folder is there goes on in it (`--resume`); it starts anew
    (`--overwrite`) where what it reads was made in this call.

    Args:
        record: Of the sweep; its folder is there.
        tell: Called at the end of each job.
        at_once: Processes. With several, each computes with its share of the cores.
        program: What runs a command.

    Raises:
        KeyboardInterrupt: as it was raised in here, after all processes were asked to stop and have ended.
    """
    by_name = {job.name: job for job in record.jobs}
    place = {name: number for number, name in enumerate(by_name)}
    graph = TopologicalSorter({job.name: job.needs for job in record.jobs})
    graph.prepare()
    ready: list[str] = []
    running: dict[str, Process] = {}

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
                if not lacking and not record.results[name].earlier:
                    running[name] = Process(job, record, [*program], at_once)
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


def _stop(processes: Sequence["Process"]) -> None:
    """Ask them to stop, as a batch system would, and wait: they keep what is done. Ctrl-C once more ends them."""
    try:
        for process in processes:
            process.send(signal.SIGTERM)
        for process in processes:
            process.result()
    except KeyboardInterrupt:
        for process in processes:
            process.send(signal.SIGKILL)


class Process:
    """A job that is running. Its own session: Ctrl-C in a terminal reaches it once, through `_stop`."""

    def __init__(self, job: Job, record: Record, program: list[str], at_once: int) -> None:
        self._log, self._begun = job.log(record.folder), time.monotonic()
        self._log.parent.mkdir(parents=True, exist_ok=True)
        words = [*program, job.command, *job.words, "--output", str(job.place(record.folder)), *going_on(job, record)]
        with self._log.open("w", encoding="utf-8") as stream:
            self._process = subprocess.Popen(
                words, stdin=subprocess.DEVNULL, stdout=stream, stderr=stream, env=_environment(at_once),
                start_new_session=True,
            )  # fmt: skip

    def has_ended(self) -> bool:
        """Whether it has ended; does not wait."""
        return self._process.poll() is not None

    def send(self, number: int) -> None:
        """Send a signal, if there is still somebody."""
        if not self.has_ended():
            self._process.send_signal(number)

    def result(self) -> Result:
        """How it ended; waits for that."""
        code, seconds = self._process.wait(), round(time.monotonic() - self._begun, 1)
        if code == DONE:
            return Result("done", code, seconds)
        if code in (STOPPED_RESUMABLE, INTERRUPTED):
            return Result("stopped", code, seconds)
        lines = self._log.read_text(encoding="utf-8", errors="replace").splitlines()
        # Of a progress bar only what it showed last.
        return Result("failed", code, seconds, "\n".join(line.rsplit("\r", 1)[-1] for line in lines[-_LINES:]))


def going_on(job: Job, record: Record) -> list[str]:
    """What a command is told of the results that an earlier call left."""
    if not job.left_results(record.folder):
        return []
    made_now = any(not record.results[need].earlier for need in job.needs)
    return ["--overwrite" if made_now or job.command == "score" else "--resume"]


def _environment(at_once: int) -> dict[str, str]:
    environment = {**os.environ, "TOKENIZERS_PARALLELISM": "false"}
    if at_once > 1:  # as many thread pools as processes, each as large as the machine, would slow each other down
        environment.setdefault("OMP_NUM_THREADS", str(max(1, _cores() // at_once)))
    return environment


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
