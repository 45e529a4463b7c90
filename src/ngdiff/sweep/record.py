"""`sweep.json`: the grid, every command with its result, every run with its metrics."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

from ngdiff.errors import InputError
from ngdiff.file_names import SWEEP
from ngdiff.sweep.jobs import JUDGED, Job, Result
from ngdiff.writing import write_json


class _Known(NamedTuple):
    """What the record of an earlier call says of a job."""

    words: list[str]
    status: str
    seconds: float | None
    needs: list[str]
    code: int | None


@dataclass
class Record:
    """The definition and the state of a sweep; `write` stores both.

    Attributes:
        folder: Folder of the sweep.
        head: Grid, options and stages as given.
        runs: Name -> `values` (the point of the grid), `role` (run, before or retrained) and `metrics`, the name of its
            metrics file.
        jobs: In the preferred order.
        results: By name of the job.
        others: Done jobs of earlier calls that this one does not ask for; a later one may.
    """

    folder: Path
    head: Mapping[str, Any]
    runs: Mapping[str, Mapping[str, Any]]
    jobs: Sequence[Job]
    results: dict[str, Result] = field(default_factory=dict)
    others: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for job in self.jobs:
            self.results.setdefault(job.name, Result())

    def add(self, jobs: Sequence[Job], runs: Mapping[str, Mapping[str, Any]]) -> None:
        """Further jobs and runs; those that are there already stay as they are."""
        known = {job.name for job in self.jobs}
        self.jobs = [*self.jobs, *(job for job in jobs if job.name not in known)]
        self.runs = {**self.runs, **{name: run for name, run in runs.items() if name not in self.runs}}
        for job in jobs:
            self.results.setdefault(job.name, Result())

    def take_over(self) -> None:
        """Mark jobs as done that an earlier call completed: same options, complete results, and all it needs done.

        Raises:
            InputError: the record in the folder is not valid.
        """
        path = self.folder / SWEEP
        try:
            record = json.loads(path.read_text(encoding="utf-8"))
            before = {**record.get("other_jobs", {}), **record["jobs"]}
            known = {name: _Known(*(job[key] for key in _Known._fields)) for name, job in before.items()}
        except FileNotFoundError:
            return  # killed before the first record: the runs themselves know how far they are
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise self._no_record() from error
        for job in self.jobs:
            found = known.get(job.name)
            if found is None or (found.status, found.words) != ("done", job.as_json()["words"]):
                continue
            if job.has_results(self.folder) and all(self.results[need].earlier for need in job.needs):
                self.results[job.name] = Result("done", found.code, found.seconds, earlier=True)

        def stands(name: str) -> bool:
            """Whether a job is done, and all it needs is, and stays, what it read."""
            if name in self.results:
                return self.results[name].earlier
            return name in known and known[name].status == "done" and all(map(stands, known[name].needs))

        self.others = {name: job for name, job in before.items() if name not in self.results and stands(name)}

    def recall(self, jobs: Sequence[Job]) -> None:
        """Take over how jobs ended in an earlier call that are not to run again.

        Raises:
            InputError: the record in the folder is not valid.
        """
        names = ("status", "code", "seconds", "end")
        try:
            before = json.loads((self.folder / SWEEP).read_text(encoding="utf-8"))["jobs"]
            ended = {job.name: before[job.name] for job in jobs if job.name in before}
            self.results |= {name: Result(**{key: one[key] for key in names}) for name, one in ended.items()}
        except FileNotFoundError:
            return
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise self._no_record() from error

    def write(self) -> None:
        """Write `sweep.json` atomically."""
        jobs = {job.name: {**job.as_json(), **self.results[job.name].as_json()} for job in self.jobs}
        runs = {name: {**run, "metrics": self.metrics(name)} for name, run in self.runs.items()}
        others = {"other_jobs": self.others} if self.others else {}
        write_json(self.folder / SWEEP, {**self.head, "runs": runs, "jobs": jobs, **others})

    def not_done(self) -> list[Job]:
        """Jobs that failed or were stopped or left out, in order."""
        return [job for job in self.jobs if self.results[job.name].status != "done"]

    def unmet(self) -> dict[str, int]:
        """Exit code of each run that does not meet what was required of it.

        What an evaluation could not judge, such as D, the scores of the same run may: the last of the two counts.
        """
        ended: dict[tuple[str, bool], int | None] = {}  # by run, and whether it is the run itself that judged
        for job in self.jobs:
            ended[job.entry, job.command == "unlearn"] = self.results[job.name].code
        runs = {name for name, run in self.runs.items() if run["role"] == "run"}
        return {entry: code for (entry, _), code in ended.items() if code in JUDGED and entry in runs}

    def metrics(self, name: str) -> Any:
        """The metrics of a run; None unless all its jobs are done."""
        file = self.runs[name]["metrics"]
        own = [self.results[job.name].status for job in self.jobs if job.entry == name]
        if file is None or any(status != "done" for status in own):
            return None
        return json.loads((self.folder / name / file).read_text(encoding="utf-8"))

    def _no_record(self) -> InputError:
        return InputError(f"--resume: {self.folder / SWEEP} is not the record of a sweep; choose another --output")
