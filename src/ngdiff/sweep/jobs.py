"""One command of a sweep and its result."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from ngdiff.exit_codes import REQUEST_CAME_BACK, REQUIREMENT_NOT_MET
from ngdiff.file_names import MANIFEST, METRICS_FILE
from ngdiff.secrets import masked

# Exit codes of a command that finished, and judged what it wrote: its results count.
JUDGED = {REQUIREMENT_NOT_MET: "a requirement is not met", REQUEST_CAME_BACK: "an earlier request came back"}

# The file that a command writes last: without it, the results are incomplete.
_LAST_FILE = {"finetune": MANIFEST, "unlearn": MANIFEST, "evaluate": METRICS_FILE}


@dataclass(frozen=True)
class Job:
    """One command.

    Attributes:
        entry: Folder, within that of the sweep, of the run or the shared model or evaluation to which it belongs.
        command: Name of the command.
        words: Its options except `--output`.
        output: Folder of its results, within that of the entry.
        needs: Names of the jobs whose results it reads.
    """

    entry: str
    command: str
    words: tuple[str, ...]
    output: str
    needs: tuple[str, ...] = ()

    @property
    def name(self) -> str:
        """Such as `unlearn method=ngdiff,seed=0`."""
        return f"{self.command} {self.entry}"

    def place(self, folder: Path) -> Path:
        """Folder of its results."""
        return folder / self.entry / self.output

    def log(self, folder: Path) -> Path:
        """File with its output."""
        return folder / self.entry / f"{self.command}.log"

    def left_results(self, folder: Path) -> bool:
        """Whether there are results, complete or not."""
        place = self.place(folder)
        return place.is_file() or (place.is_dir() and any(place.iterdir()))

    def has_results(self, folder: Path) -> bool:
        """Whether there are complete results."""
        last = _LAST_FILE.get(self.command)
        return (self.place(folder) if last is None else self.place(folder) / last).is_file()

    def as_json(self) -> dict[str, Any]:
        """For `sweep.json`, without secrets."""
        return {
            "entry": self.entry,
            "command": self.command,
            "words": masked(self.words),
            "output": f"{self.entry}/{self.output}",
            "log": f"{self.entry}/{self.command}.log",
            "needs": list(self.needs),
        }


Status = Literal["waiting", "done", "failed", "left out", "stopped"]


@dataclass
class Result:
    """The result of a job.

    Attributes:
        status: `left out` means that a job it needs failed; `done` includes the exit codes of `JUDGED`.
        code: Exit code; None if it did not run.
        seconds: Duration.
        end: The last lines of its output, if it failed.
        earlier: Whether it was done by an earlier call.
    """

    status: Status = "waiting"
    code: int | None = None
    seconds: float | None = None
    end: str = ""
    earlier: bool = False

    def as_json(self) -> dict[str, Any]:
        """For `sweep.json`."""
        return {name: value for name, value in asdict(self).items() if name != "earlier"}
