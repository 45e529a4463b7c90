"""One command of a sweep, and how it ended."""

from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from ngdiff.secrets import masked

# The file without which what a command made is not whole.
_LAST_FILE = {"finetune": "manifest.json", "unlearn": "manifest.json", "evaluate": "metrics.json"}


@dataclass(frozen=True)
class Job:
    """One command.

    Attributes:
        entry: Folder of what it belongs to, in the folder of the sweep: a run, or a shared model or evaluation.
        command: Name of the command.
        words: Its options but `--output`.
        output: Where its results go, below the folder of the entry.
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
        """Where its results go."""
        return folder / self.entry / self.output

    def log(self, folder: Path) -> Path:
        """Where what it says goes."""
        return folder / self.entry / f"{self.command}.log"

    def left_results(self, folder: Path) -> bool:
        """Whether its results are there, whole or not."""
        place = self.place(folder)
        return place.is_file() or (place.is_dir() and any(place.iterdir()))

    def has_results(self, folder: Path) -> bool:
        """Whether the last of its files is there."""
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
    """How a job ended.

    Attributes:
        status: `left out`: a job failed that it needs.
        code: Exit code; None where it did not run.
        seconds: From its start to its end.
        end: The last lines it said, where it failed.
        earlier: Whether an earlier call did it.
    """

    status: Status = "waiting"
    code: int | None = None
    seconds: float | None = None
    end: str = ""
    earlier: bool = False

    def as_json(self) -> dict[str, Any]:
        """For `sweep.json`."""
        return {name: value for name, value in asdict(self).items() if name != "earlier"}
