"""`ngdiff sweep`."""

import sys
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from ngdiff.cli.option_words import take_options
from ngdiff.cli.parsing import CommandParser, option
from ngdiff.cli.signals import SIGNALS
from ngdiff.cli.sweep_file import SweepFile, read_sweep_file
from ngdiff.cli.sweep_inputs import refuse_changed_inputs
from ngdiff.errors import InputError, VerdictError
from ngdiff.exit_codes import SWEEP_INCOMPLETE
from ngdiff.file_names import SWEEP
from ngdiff.paths import user_path
from ngdiff.plurals import number_of
from ngdiff.ranges import Range
from ngdiff.scoring import FORMATS, compare, compare_groups, read_sweep
from ngdiff.secrets import masked
from ngdiff.sweep import JUDGED, Job, Record, Result, Start, work


@dataclass
class SweepOptions:
    """Which runs, and where they go."""

    grid: list[str] | None = option(  # noqa: RUF009 - `option` is a `dataclasses.field`
        None,
        help="options of ngdiff unlearn, each with its values: one run for each combination; a comma in brackets "
        "separates no values",
        value="OPTION=VALUE,VALUE,...",
    )
    output: str | None = option(None, help="folder of the sweep, with a folder for each run", value="DIR")
    jobs: int | None = option(
        None, help="commands that run at once (1; with --ray the number of machines)", accepted=Range(1, 1024)
    )
    ray: str | None = option(
        None,
        help="run the commands on the machines of this Ray cluster, which share the folders; local: a Ray of this "
        "machine alone (pip install 'ngdiff[ray]')",
        value="ADDRESS",
    )
    resume: bool = option(False, help="do what is not finished, be it that a run failed or that the grid grew")
    search: bool = option(
        False,
        help="in place of a grid, trials that Optuna chooses from the file's `search`: small D, large Utility (pip "
        "install 'ngdiff[search]')",
    )
    trials: int | None = option(
        None, help="trials of a search, those of earlier calls included (20)", accepted=Range(1, 100_000)
    )


PARSER = CommandParser(
    "sweep",
    "Unlearn with every combination of options in a grid, evaluate and score each, and put all into one table: ngdiff "
    "sweep sweep.yaml, or ngdiff sweep --grid method=ngdiff,npo+ngdiff seed=0,1,2 --output DIR, followed by options of "
    "ngdiff unlearn that all runs share (all but those below, --config included). A file has grid, variants, options, "
    "stages (target, retrained, evaluate, score), output and jobs; for --search it has search and trials in place of "
    "grid. What runs share is made once; a run that fails does not stop the others. See docs/sweep.md.",
    {"sweep": SweepOptions},
    required=(),
)
_NAMED = 5  # entries in the last line
_OWN = ("help", "help_all", "grid", "output", "jobs", "resume", "ray", "search", "trials")
_TRIALS = 20


def run(words: list[str]) -> None:
    """Run the command.

    Raises:
        InputError: a grid, options or a folder that cannot be used; before the first run.
        VerdictError: something failed, and all else is done and written; or a run does not meet what was required.
    """
    words, shared = take_options(words, _OWN)
    file = words.pop(0) if words and not words[0].startswith("-") else None
    values = PARSER.parse(words)
    if values is None:
        return
    options: SweepOptions = PARSER.build(SweepOptions, values)
    if options.trials is not None and not options.search:
        raise InputError(f"--trials {options.trials} changes nothing without --search")
    if file is None and options.search:
        raise InputError("--search needs a file with `search`, the options to choose and their values")
    if file is None and not options.grid:
        raise InputError("ngdiff sweep needs a file, or --grid OPTION=VALUE,VALUE,...")
    asked = read_sweep_file(file, options.grid or [], search=options.search)
    output = options.output or asked.output
    if output is None:
        raise InputError("ngdiff sweep needs --output, or `output` in its file: a folder for all runs")
    jobs = options.jobs or asked.jobs
    if options.search:
        from ngdiff.cli.search import search

        trials = options.trials or asked.trials or _TRIALS
        search(asked, output, shared, trials=trials, jobs=jobs, ray=options.ray, resume=options.resume)
        return
    record = planned(asked, output, shared, resume=options.resume)
    with machines(options.ray, jobs) as (at_once, start):
        carry_out(record, at_once=at_once, start=start)
    say(_table(record.folder))
    if left := record.not_done():
        raise incomplete(left, len(record.jobs), f"{record.folder / SWEEP} has the end of each log")
    refuse_unmet_runs(record)


def planned(asked: SweepFile, output: str, shared: Sequence[str] = (), *, resume: bool = False) -> Record:
    """The commands of a sweep, checked; nothing is written or run.

    Args:
        asked: The sweep.
        output: Its folder.
        shared: Further options of `ngdiff unlearn`.
        resume: Take over what an earlier call completed.

    Raises:
        InputError: a folder that cannot be used, or what any of the commands would refuse.
    """
    folder = folder_of(output, resume=resume)

    from ngdiff.cli.sweep_plan import plan  # knows the options of unlearn, finetune and evaluate, and with them torch

    jobs, runs = plan(asked, shared, folder)
    record = Record(folder, {**asked.as_json(), "shared_words": masked(shared)}, runs, jobs)
    if resume:
        record.take_over()
        refuse_changed_inputs(record)
    return record


@contextmanager
def machines(ray: str | None, jobs: int | None) -> Iterator[tuple[int, Start | None]]:
    """For a `with` block: how many commands run at once, and what starts them, as `ngdiff.sweep.work` takes both.

    Args:
        ray: Address of a Ray cluster; None: they run in processes of this machine.
        jobs: How many, where the user says it.

    Raises:
        InputError: no Ray, or no cluster there.
    """
    if ray is None:
        yield jobs or 1, None
        return
    from ngdiff.sweep.on_ray import RayCluster

    with RayCluster(ray) as cluster:
        yield jobs or max(1, cluster.machines), cluster.start


def carry_out(record: Record, *, at_once: int, start: Start | None = None) -> None:
    """Run what is not done, and tell how each command ended."""
    record.folder.mkdir(parents=True, exist_ok=True)
    SIGNALS.resumable = True
    record.write()
    runs = sum(run["role"] == "run" for run in record.runs.values())
    say(f"{number_of(runs, 'run')}, {number_of(len(record.jobs), 'command')}, in {record.folder}\n")
    work(record, Teller(record, len(record.jobs)), at_once=at_once, start=start)


def incomplete(left: Sequence[Job], total: int, where: str) -> VerdictError:
    """The error that ends a command whose sweep has jobs that are not done.

    Args:
        left: Those jobs.
        total: Number of all jobs.
        where: Which file tells more.
    """
    entries = list(dict.fromkeys(job.entry for job in left))
    named = ", ".join(entries[:_NAMED]) + (f" and {more} more" if (more := len(entries) - _NAMED) > 0 else "")
    return VerdictError(
        f"the sweep is incomplete: {len(left)} of {total} commands failed or lack one that failed ({named}); "
        f"all else is done. {where}; --resume does what is left",
        SWEEP_INCOMPLETE,
    )


def refuse_unmet_runs(record: Record) -> None:
    """End with the exit code of runs that do not meet what was required of them, when all is done.

    Raises:
        VerdictError: there are some.
    """
    if unmet := record.unmet():
        code = next(iter(unmet.values()))
        entries = [entry for entry, own in unmet.items() if own == code]
        named = ", ".join(entries[:_NAMED]) + (f" and {more} more" if (more := len(entries) - _NAMED) > 0 else "")
        raise VerdictError(
            f"the sweep is done; of {len(entries)} of its runs {JUDGED[code]}: {named}. Their logs have the table", code
        )


def folder_of(output: str, *, resume: bool) -> Path:
    """The folder of a sweep, which is new, empty, or with `resume` that of an earlier call.

    Raises:
        InputError: another one.
    """
    folder = user_path(output, "--output")
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--output {output}: this is a file; give a folder")
    occupied = folder.is_dir() and any(folder.iterdir())
    if occupied and not resume:
        raise InputError(f"--output {output} is not empty; choose another folder, or give --resume")
    if occupied and not (folder / SWEEP).is_file():
        raise InputError(f"--resume: {output} holds no {SWEEP} of an earlier sweep; choose another --output")
    return folder


class Teller:
    """Reports how each command ended.

    Args:
        record: Of the sweep.
        total: Number of its commands.
    """

    def __init__(self, record: Record, total: int) -> None:
        self._record, self._total = record, total
        self._ended = sum(result.earlier for result in record.results.values())
        if self._ended:
            say(f"{number_of(self._ended, 'command')} already done\n")

    def __call__(self, job: Job, result: Result) -> None:
        self._ended += 1
        head = f"{self._ended}/{self._total} {job.name}:"
        if result.status == "left out":
            return say(f"{head} left out, since a command failed that it needs\n")
        if result.status == "done":
            judged = f"; {JUDGED[result.code]}" if result.code in JUDGED else ""
            return say(f"{head} done in {result.seconds:g} s{judged}\n")
        end = "".join(f"    {line}\n" for line in result.end.splitlines())
        log = job.log(self._record.folder)
        return say(f"{head} {result.status} with exit code {result.code}; the end of {log}:\n{end}")


def _table(folder: Path) -> str:
    """The numbers of all runs that have some; means over seeds where there are several."""
    runs, references = read_sweep(folder / SWEEP)
    if not runs:
        return ""
    grouped = compare_groups(runs, references=references)
    one_each = all(size == 1 for size in grouped.sizes)
    return "\n" + FORMATS["text"](compare(runs, references=references) if one_each else grouped)


def say(text: str) -> None:
    """Print at once, without an end of line."""
    sys.stdout.write(text)
    sys.stdout.flush()  # a sweep takes hours, and its output may go to a file
