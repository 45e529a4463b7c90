"""`ngdiff` commands on the files of a work folder, each run once: what is finished is not done again."""

import json
import os
import subprocess
import sys
from collections.abc import Iterable
from pathlib import Path


class Commands:
    """Runs commands in a work folder. A finished one leaves `OUTPUT.done` there, with its CPU seconds.

    Args:
        work: The folder; made if it is not there.
    """

    def __init__(self, work: Path) -> None:
        self.work = work
        work.mkdir(parents=True, exist_ok=True)

    def write(self, name: str, rows: Iterable[str]) -> None:
        """One data file."""
        (self.work / name).write_text("\n".join(rows) + "\n", encoding="utf-8")

    def ngdiff(self, command: str, output: str, *options: str) -> Path:
        """Run `ngdiff command ... --output output` unless it has run; what it prints goes to `OUTPUT.log`.

        Raises:
            SystemExit: it fails.
        """
        if not self._done(output).exists():
            words = [sys.executable, "-m", "ngdiff", command, *options, "--output", output]
            words += ["--overwrite"] if (self.work / output).exists() else []
            # One thread unless told otherwise: two spinning pools on two cores slow each other down.
            environment = {"OMP_NUM_THREADS": "1", **os.environ, "TOKENIZERS_PARALLELISM": "false"}
            log = self.work / f"{output}.log"
            with log.open("w", encoding="utf-8") as stream:
                process = subprocess.Popen(words, cwd=self.work, env=environment, stdout=stream, stderr=stream)
                _, status, usage = os.wait4(process.pid, 0)
                process.returncode = os.waitstatus_to_exitcode(status)
            if process.returncode:
                end = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-5:])
                raise SystemExit(
                    f"{' '.join(words[1:])} ended with code {process.returncode}; the end of {log}:\n{end}"
                )
            self._done(output).write_text(json.dumps({"cpu_seconds": usage.ru_utime + usage.ru_stime}))
        return self.work / output

    def seconds(self, output: str) -> float:
        """CPU seconds of the command that made an output."""
        return float(json.loads(self._done(output).read_text(encoding="utf-8"))["cpu_seconds"])

    def drop(self, output: str) -> None:
        """Let the command that made an output run again."""
        self._done(output).unlink()

    def _done(self, output: str) -> Path:
        return self.work / f"{output}.done"


def name_of(words: str) -> str:
    """The name of a folder for a row of a table.

    >>> name_of("sgd auto:1e-4")
    'sgd-auto-1e-4'
    """
    return "".join(letter if letter.isalnum() else "-" for letter in words)
