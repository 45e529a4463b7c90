"""`ngdiff sweep --search`: trials that Optuna chooses, each an unlearning run that is evaluated and scored."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ngdiff.cli.signals import SIGNALS
from ngdiff.cli.sweep import Teller, folder_of, incomplete, machines, refuse_unmet_runs, say
from ngdiff.cli.sweep_file import TRIAL, SweepFile
from ngdiff.cli.sweep_inputs import refuse_changed_inputs
from ngdiff.cli.sweep_plan import plan
from ngdiff.errors import InputError, VerdictError
from ngdiff.evidence.table import columns
from ngdiff.exit_codes import SWEEP_INCOMPLETE
from ngdiff.file_names import SWEEP
from ngdiff.plurals import number_of
from ngdiff.secrets import masked
from ngdiff.sweep import STORAGE, Job, Record, Start, Study, Trial, read_space, require_optuna, work

# Title of the first objective -> the entry of `metrics.json` that has its `value`.
_OBJECTIVES = {"D (retrained)": "distance", "D (holdout)": "distance_holdout"}
_SHOWN = 5  # failed trials in the last line


def search(
    asked: SweepFile,
    output: str,
    shared: Sequence[str],
    *,
    trials: int,
    jobs: int | None = None,
    ray: str | None = None,
    resume: bool = False,
) -> None:
    """Try points of a space until there are as many trials as asked for, and print those that no other beats.

    The objectives are D, the distance from a model that never saw the rows, and Utility.

    Args:
        asked: The sweep, with a search.
        output: Its folder.
        shared: Further options of `ngdiff unlearn`.
        trials: How many, those of earlier calls included.
        jobs, ray: As of `ngdiff.cli.sweep.machines`; as many trials are chosen together as commands run at once.
        resume: Go on with the trials in the folder.

    Raises:
        InputError: a folder, a space or options that cannot be used, or no Optuna; before the first trial.
        VerdictError: something failed; all else is done and written.
    """
    require_optuna()
    folder = folder_of(output, resume=resume)
    made = _Search(asked, shared, folder, resume=resume)
    with machines(ray, jobs) as (at_once, start):
        made.run(trials, at_once, start)


class _Search:
    def __init__(self, asked: SweepFile, shared: Sequence[str], folder: Path, *, resume: bool) -> None:
        self._asked, self._shared = asked, shared
        self._space = read_space(asked.search, f"{asked.place}: search")
        self._refuse_options_in_both()
        self._check_points(folder)
        self._title = self._objective(folder)
        head = {**asked.as_json(), "shared_words": masked(shared)}
        if resume:
            _refuse_other_space(folder, head["search"])
        folder.mkdir(parents=True, exist_ok=True)
        self._study = Study(folder / STORAGE, self._space)
        self._record = Record(folder, head, {}, [])
        self._jobs: dict[int, list[Job]] = {}  # of each trial, shared ones included
        for trial in self._study.trials():
            self._add(trial)
        if resume:
            self._take_over()

    def run(self, trials: int, at_once: int, start: Start | None) -> None:
        """As `search`."""
        study, record = self._study, self._record
        SIGNALS.resumable = True
        record.write()
        say(f"a search of {number_of(trials, 'trial')}, {number_of(len(study.trials()), 'trial')} begun, in "
            f"{record.folder}\n")  # fmt: skip
        tell: Teller | None = None
        while batch := self._batch(trials, at_once):
            jobs = {job.name: job for trial in batch for job in self._jobs[trial.number]}
            if tell is None:
                number = batch[0].number
                common = [job for job in self._jobs[number] if job not in self._own(number)]
                tell = Teller(record, len(common) + trials * len(self._own(number)))
                work(record, tell, jobs=common, at_once=at_once, start=start)
                if left := [job for job in common if record.results[job.name].status != "done"]:
                    raise incomplete(left, len(common), f"{record.folder / SWEEP} has the end of each log")
            work(record, tell, jobs=[*jobs.values()], at_once=at_once, start=start)
            for trial in batch:
                study.tell(trial.number, self._found(trial))
        say(self._table())
        failed = [f"{TRIAL}={one.number}" for one in study.trials() if one.state == "failed"]
        if failed:
            more = f" and {len(failed) - _SHOWN} more" if len(failed) > _SHOWN else ""
            raise VerdictError(
                f"{len(failed)} of {number_of(len(study.trials()), 'trial')} failed ({', '.join(failed[:_SHOWN])}"
                f"{more}); all else is done. {record.folder / SWEEP} has the end of each log",
                SWEEP_INCOMPLETE,
            )
        refuse_unmet_runs(record)

    # ---- before the first trial ------------------------------------------------------------------------------------

    def _refuse_options_in_both(self) -> None:
        for name in self._space:
            if name in {option.replace("-", "_") for option in self._asked.options}:
                raise InputError(f"{self._asked.place}: search: {name} is there and among the options; leave out one")

    def _check_points(self, folder: Path) -> None:
        """Plan every value of a list and both ends of a range, with the first values of all others."""
        for name, one in self._space.items():
            points = {f"{name}={value}": {**self._first(), name: value} for value in one.samples()}
            jobs, runs = plan(self._trials(points), self._shared, folder)
            if any(TRIAL in job.entry for job in jobs if runs.get(job.entry, {}).get("role") != "run"):
                raise InputError(
                    f"{self._asked.place}: search: {name} changes the models or evaluations that all trials share; "
                    "give it one value, among the options"
                )

    def _objective(self, folder: Path) -> str:
        """Title of the first objective."""
        stages = self._asked.stages
        words = [word for job in self._planned(Trial(0, self._first()), folder)[0] for word in job.words]
        holdout = any(word.partition("=")[0].replace("-", "_") == "__holdout" for word in words)
        if stages.evaluate is None or stages.score is None or not (stages.retrained or holdout):
            raise InputError(
                f"--search needs D, which {self._asked.place} cannot give: it takes the stages evaluate and score, and "
                "the stage retrained or holdout rows"
            )
        return "D (retrained)" if stages.retrained else "D (holdout)"

    def _take_over(self) -> None:
        record = self._record
        record.take_over()
        refuse_changed_inputs(record)
        for trial in self._study.trials():
            own = self._own(trial.number)
            if trial.state == "done" and not all(record.results[job.name].earlier for job in own):
                raise InputError(
                    f"--resume: the results of {TRIAL}={trial.number} are gone or of other options, so that they would "
                    "not compare with further ones; choose another --output"
                )
            if trial.state == "failed":
                record.recall(own)

    # ---- trials ------------------------------------------------------------------------------------------------------

    def _batch(self, trials: int, at_once: int) -> list[Trial]:
        """The next trials: those that were interrupted, then new ones."""
        known = self._study.trials()
        batch = [one for one in known if one.state == "open"][:at_once]
        while len(batch) < at_once and len(known) < trials:
            trial = self._study.ask()
            self._add(trial)
            batch.append(trial)
            known.append(trial)
        return batch

    def _add(self, trial: Trial) -> None:
        jobs, runs = self._planned(trial, self._record.folder)
        self._record.add(jobs, runs)
        self._jobs[trial.number] = jobs

    def _own(self, number: int) -> list[Job]:
        return [job for job in self._jobs[number] if job.entry == f"{TRIAL}={number}"]

    def _planned(self, trial: Trial, folder: Path) -> tuple[list[Job], dict[str, dict[str, Any]]]:
        jobs, runs = plan(self._trials({str(trial.number): trial.values}), self._shared, folder)
        own = f"{TRIAL}={trial.number}"
        return jobs, {**runs, own: {**runs[own], "values": dict(trial.values)}}

    def _trials(self, points: Mapping[str, Mapping[str, Any]]) -> SweepFile:
        return replace(self._asked, axes={TRIAL: list(points)}, variants=points)

    def _first(self) -> dict[str, Any]:
        return {name: one.samples()[0] for name, one in self._space.items()}

    def _found(self, trial: Trial) -> tuple[float, float] | None:
        """D and Utility; None, and a message where its commands did not say why, if there are none."""
        name = f"{TRIAL}={trial.number}"
        metrics = self._record.metrics(name)
        if metrics is None:
            return None
        distance = metrics.get(_OBJECTIVES[self._title], {}).get("value")
        utility = metrics.get("utility")
        for title, value in ((self._title, distance), ("Utility", utility)):
            if not isinstance(value, int | float):
                say(f"{name} has no {title}, and counts as failed\n")
                return None
        return float(distance), float(utility)

    def _table(self) -> str:
        """The trials that no other beats, by D."""
        best = sorted(self._study.best(), key=lambda one: (one.found or (0.0, 0.0))[0])
        if not best:
            return "\nno trial is done\n"
        rows = [["trial", f"{self._title} ↓", "Utility ↑", *(name.replace("_", "-") for name in self._space)]]
        for one in best:
            assert one.found is not None
            numbers = [f"{value:.4f}" for value in one.found]
            rows.append([str(one.number), *numbers, *(_shown(one.values.get(name)) for name in self._space)])
        head = "trials that no other beats in both, the Pareto front"
        return f"\n{head}:\n{columns(rows)}All trials: ngdiff compare {self._record.folder}\n"


def _refuse_other_space(folder: Path, space: Mapping[str, Any]) -> None:
    path = folder / SWEEP
    if not path.is_file():
        return
    try:
        before = json.loads(path.read_text(encoding="utf-8")).get("search")
    except (ValueError, AttributeError) as error:
        raise InputError(f"--resume: {path} is not the record of a sweep; choose another --output") from error
    if before != json.loads(json.dumps(space)):
        raise InputError(f"--resume: the `search` of {folder} is another one, or none; choose another --output")


def _shown(value: Any) -> str:
    return "none" if value is None else f"{value:.4g}" if isinstance(value, float) else str(value)
