"""`ngdiff reproduce`."""

import shlex
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ngdiff import __version__
from ngdiff.cli.config_file import read_config
from ngdiff.cli.parsing import CommandParser, option
from ngdiff.cli.reproduce_plan import group_of_runs, planned_sweep, sweeps_of
from ngdiff.cli.sweep import carry_out, incomplete
from ngdiff.errors import InputError
from ngdiff.file_names import PRIVATE, SWEEP
from ngdiff.option import check_choice
from ngdiff.paths import user_path
from ngdiff.ranges import SEED, Range
from ngdiff.recipes.recipe import NAMES, SCALES, read_recipe
from ngdiff.sweep import Record
from ngdiff.writing import write_json

RECORD = "reproduce.json"  # what was asked for, in the output folder


@dataclass
class ReproduceOptions:
    """What is repeated, at which scale, and where it goes."""

    scale: str = option(
        "tiny",
        help="paper (its models and settings, on GPUs), small (a small real model, named by --model), or tiny (a model "
        "from random weights on a few rows, in minutes on a CPU)",
        value="SCALE",
    )
    output: str = option(help="folder for models, tables and figures", value="DIR")
    model: list[str] | None = option(  # noqa: RUF009 - `option` is a `dataclasses.field`
        None, help="model in place of the scale's: a folder, a hub name or a shape; may be repeated", value="MODEL"
    )
    data: str | None = option(
        None,
        help="folder with copies of the data sets: tofu/, muse_news/, cifar10.npz, cifar100.npz (none: the hub)",
        value="DIR",
    )
    seeds: str = option("0", help="seeds, separated by commas; several give means with intervals", value="N,N,...")
    bf16: bool = option(False, help="train in bfloat16 mixed precision; on a CPU together with --use-cpu")
    use_cpu: bool = option(False, help="train on the CPU, even where there is a GPU")
    jobs: int = option(1, help="commands that run at once", accepted=Range(1, 1024))
    resume: bool = option(False, help="do what is not finished there, or add tables, figures and seeds")
    dry_run: bool = option(False, help="print the commands; nothing is run or written")


PARSER = CommandParser(
    "reproduce",
    "Repeat tables and figures of the NGDiff paper (arXiv 2410.22086): train the models, unlearn with every method, "
    "evaluate, and put our numbers beside the paper's. NAME is one or more of "
    f"{', '.join(NAMES)}, or all. What they share is run once. See docs/reproduce.md.",
    {"reproduce": ReproduceOptions},
    required=("output",),
    words="name",
    repeated=("model",),
    example="  ngdiff reproduce table1 figure1 --output reproduced",
)


def run(words: list[str]) -> None:
    """Run the command.

    Raises:
        InputError: names, options or data that cannot be used; before the first run.
        VerdictError: something failed; all else is done and written.
    """
    values = PARSER.parse(words)
    if values is None:
        return
    options: ReproduceOptions = PARSER.build(ReproduceOptions, values)
    check_choice("--scale", options.scale, SCALES)
    names = [*NAMES] if values["name"] == ["all"] else list(dict.fromkeys(values["name"]))
    recipes = [read_recipe(name) for name in names]
    seeds, folder = _seeds(options.seeds), _folder(options)
    data = None if options.data is None else _data_folder(options.data)
    sweeps = sweeps_of(recipes, options.scale, options.model or [], _trained(options))
    if options.dry_run:
        with tempfile.TemporaryDirectory() as place:
            for sweep in sweeps:
                _print_commands(planned_sweep(sweep, Path(place), data, seeds), place, options.output)
        return
    records = {sweep.name: planned_sweep(sweep, folder, data, seeds, resume=options.resume) for sweep in sweeps}
    write_json(folder / RECORD, _asked(options))
    for record in records.values():
        carry_out(record, at_once=options.jobs)

    from ngdiff.cli.reproduce_output import notes_on, write_recipe  # matplotlib takes a while

    groups = {sweep.name: group_of_runs(sweep, records[sweep.name]) for sweep in sweeps}
    for recipe in recipes:
        own = [(sweep, groups[sweep.name]) for sweep in sweeps if recipe.name in sweep.recipes]
        write_recipe(recipe, own, notes_on(own, options.scale, seeds), folder)
    if left := [job for record in records.values() for job in record.not_done()]:
        total = sum(len(record.jobs) for record in records.values())
        raise incomplete(left, total, f"{SWEEP} in the folders of {folder} has the end of each log")


def _trained(options: ReproduceOptions) -> dict[str, bool]:
    """Options of every training; those that are not given are left to it."""
    given = {"bf16": options.bf16, "use_cpu": options.use_cpu}
    return {name: True for name, value in given.items() if value}


def _seeds(text: str) -> list[int]:
    """The seeds of `--seeds`."""
    found = [word.strip() for word in text.split(",")]
    if not all(word.isdecimal() for word in found) or len(set(found)) < len(found):
        raise InputError(f"--seeds {text}: give different whole numbers, separated by commas, such as 0,1,2")
    for word in found:
        SEED.check(int(word), "--seeds")
    return [int(word) for word in found]


def _folder(options: ReproduceOptions) -> Path:
    """The output folder, which is new, empty, or that of an earlier call with the same scale and models."""
    folder = user_path(options.output, "--output")
    if folder.exists() and not folder.is_dir():
        raise InputError(f"--output {options.output}: this is a file; give a folder")
    # Rows that were written before something was refused are written again.
    if not folder.is_dir() or all(entry.name == PRIVATE for entry in folder.iterdir()) or options.dry_run:
        return folder
    if not options.resume:
        raise InputError(f"--output {options.output} is not empty; choose another folder, or give --resume")
    record = folder / RECORD
    if not record.is_file():
        raise InputError(f"--resume: {options.output} holds no {RECORD} of an earlier call; choose another --output")
    asked, before = _asked(options), read_config(str(record), None)
    for name in ("scale", "model", "data", "bf16"):
        earlier = before.get(name, False if name == "bf16" else None)  # unknown to an earlier version
        if earlier != asked[name]:
            raise InputError(
                f"--resume: {options.output} is of --{name} {earlier}, not {asked[name]}; choose another --output"
            )
    return folder


def _asked(options: ReproduceOptions) -> dict[str, Any]:
    data = None if options.data is None else str(user_path(options.data, "--data").resolve())
    return {
        "scale": options.scale,
        "model": options.model,
        "data": data,
        "bf16": options.bf16,
        "ngdiff": __version__,
    }


def _data_folder(given: str) -> Path:
    folder = user_path(given, "--data")
    if not folder.is_dir():
        raise InputError(f"--data {given}: no such folder")
    return folder


def _print_commands(record: Record, place: str, output: str) -> None:
    """The commands as a shell takes them, with the output folder in place of the temporary one."""
    for job in record.jobs:
        words = ["ngdiff", job.command, *job.words, "--output", str(job.place(record.folder))]
        sys.stdout.write(shlex.join(word.replace(place, output) for word in words) + "\n")
