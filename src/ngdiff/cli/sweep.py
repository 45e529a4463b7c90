"""`ngdiff sweep`."""

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from ngdiff.cli.option_words import take_options
from ngdiff.cli.parsing import CommandParser, option
from ngdiff.cli.signals import SIGNALS
from ngdiff.cli.sweep_file import SweepFile, read_sweep_file
from ngdiff.cli.sweep_inputs import refuse_changed_inputs
from ngdiff.errors import InputError, VerdictError
from ngdiff.exit_codes import SWEEP_INCOMPLETE
from ngdiff.paths import user_path
from ngdiff.plurals import number_of
from ngdiff.ranges import Range
from ngdiff.scoring import FORMATS, compare, compare_groups, read_sweep
from ngdiff.secrets import masked
from ngdiff.sweep import SWEEP, Job, Record, Result, work


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
    jobs: int | None = option(None, help="commands that run at once (1)", accepted=Range(1, 1024))
    resume: bool = option(False, help="do what is not finished, be it that a run failed or that the grid grew")


PARSER = CommandParser(
    "sweep",
    "Unlearn with every combination of options in a grid, evaluate and score each, and put all into one table: ngdiff "
    "sweep sweep.yaml, or ngdiff sweep --grid method=ngdiff,npo+ngdiff seed=0,1,2 --output DIR, followed by options of "
    "ngdiff unlearn that all runs share (all but those below, --config included). A file has grid, variants, options, "
    "stages (target, retrained, evaluate, score), output and jobs. What runs share is made once; a run that fails does "
    "not stop the others. See docs/sweep.md.",
    {"sweep": SweepOptions},
    required=(),
)
_NAMED = 5  # entries in the last line
_OWN = ("help", "help_all", "grid", "output", "jobs", "resume")


def run(words: list[str]) -> None:
    """Run the command.

    Raises:
        InputError: a grid, options or a folder that cannot be used; before the first run.
        VerdictError: something failed; all else is done and written.
    """
    words, shared = take_options(words, _OWN)
    file = words.pop(0) if words and not words[0].startswith("-") else None
    values = PARSER.parse(words)
    if values is None:
        return
    options: SweepOptions = PARSER.build(SweepOptions, values)
    if file is None and not options.grid:
        raise InputError("ngdiff sweep needs a file, or --grid OPTION=VALUE,VALUE,...")
    asked = read_sweep_file(file, options.grid or [])
    output = options.output or asked.output
    if output is None:
        raise InputError("ngdiff sweep needs --output, or `output` in its file: a folder for all runs")
    record = planned(asked, output, shared, resume=options.resume)
    carry_out(record, at_once=options.jobs or asked.jobs or 1)
    _say(_table(record.folder))
    if left := record.not_done():
        raise incomplete(left, len(record.jobs), f"{record.folder / SWEEP} has the end of each log")


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
    folder = _checked(output, resume=resume)

    from ngdiff.cli.sweep_plan import plan  # knows the options of unlearn, finetune and evaluate, and with them torch

    jobs, runs = plan(asked, shared, folder)
    record = Record(folder, {**asked.as_json(), "shared_words": masked(shared)}, runs, jobs)
    if resume:
        record.take_over()
        refuse_changed_inputs(record)
    return record


def carry_out(record: Record, *, at_once: int) -> None:
    """Run what is not done, and tell how each command ended."""
    record.folder.mkdir(parents=True, exist_ok=True)
    SIGNALS.resumable = True
    record.write()
    runs = sum(run["role"] == "run" for run in record.runs.values())
    _say(f"{number_of(runs, 'run')}, {number_of(len(record.jobs), 'command')}, in {record.folder}\n")
    work(record, _Teller(record), at_once=at_once)


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


def _checked(output: str, *, resume: bool) -> Path:
    folder = user_path(output, "--output")
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--output {output}: this is a file; give a folder")
    occupied = folder.is_dir() and any(folder.iterdir())
    if occupied and not resume:
        raise InputError(f"--output {output} is not empty; choose another folder, or give --resume")
    if occupied and not (folder / SWEEP).is_file():
        raise InputError(f"--resume: {output} holds no {SWEEP} of an earlier sweep; choose another --output")
    return folder


class _Teller:
    """Reports how each command ended."""

    def __init__(self, record: Record) -> None:
        self._record = record
        self._ended = sum(result.earlier for result in record.results.values())
        if self._ended:
            _say(f"{number_of(self._ended, 'command')} already done\n")

    def __call__(self, job: Job, result: Result) -> None:
        self._ended += 1
        head = f"{self._ended}/{len(self._record.jobs)} {job.name}:"
        if result.status == "left out":
            return _say(f"{head} left out, since a command failed that it needs\n")
        if result.status == "done":
            return _say(f"{head} done in {result.seconds:g} s\n")
        end = "".join(f"    {line}\n" for line in result.end.splitlines())
        log = job.log(self._record.folder)
        return _say(f"{head} {result.status} with exit code {result.code}; the end of {log}:\n{end}")


def _table(folder: Path) -> str:
    """The numbers of all runs that have some; means over seeds where there are several."""
    runs, references = read_sweep(folder / SWEEP)
    if not runs:
        return ""
    grouped = compare_groups(runs, references=references)
    one_each = all(size == 1 for size in grouped.sizes)
    return "\n" + FORMATS["text"](compare(runs, references=references) if one_each else grouped)


def _say(text: str) -> None:
    sys.stdout.write(text)
    sys.stdout.flush()  # a sweep takes hours, and its output may go to a file
