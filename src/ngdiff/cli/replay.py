"""`ngdiff verify --replay`: repeat a run with its recorded options, and compare the model that it writes."""

import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from ngdiff.cli import finetune, unlearn
from ngdiff.cli.loading import load_torch
from ngdiff.cli.parsing import CommandParser
from ngdiff.cli.signals import SIGNALS
from ngdiff.cli.tasks import TASKS
from ngdiff.errors import InputError, RuinedModelError, StoppedBySignal, VerdictError
from ngdiff.evidence.inputs import inputs_of
from ngdiff.evidence.read_run import read_run
from ngdiff.evidence.replayed import SAME_BITS, differing_files, unlike_places
from ngdiff.evidence.seal import read_sealed
from ngdiff.evidence.verify import Check
from ngdiff.exit_codes import NOT_AS_WRITTEN
from ngdiff.file_names import CONFIG, MANIFEST
from ngdiff.manifest import environment
from ngdiff.output_folder import check_output
from ngdiff.paths import absolute_source

_RUN: dict[str, Callable[[list[str]], None]] = {"unlearn": unlearn.run, "finetune": finetune.run}
_OF_PROCESSES = ("fsdp", "ddp_")  # beginnings of options that one process does not take


def check_replay(folder: Path, into: Path) -> None:
    """Refuse a repetition that cannot be made, before anything is hashed.

    Raises:
        InputError: `into` is not empty or lies in `folder`, or another command wrote `folder`.
    """
    try:
        check_output(into)
    except InputError as error:
        raise InputError(str(error).replace("--output", "--replay").partition(", or give")[0]) from error
    if into.resolve().is_relative_to(folder.resolve()):
        raise InputError(f"--replay {into} lies in {folder}; choose a folder elsewhere")
    manifest, fault = read_sealed(folder / MANIFEST)
    if not fault:  # `verify` says it
        _command_of(folder, manifest)


def replay(folder: Path, into: Path) -> list[Check]:
    """Repeat a run and compare its model, file by file.

    Args:
        folder: Output of the run; it and its inputs are as they were (`ngdiff.evidence.verify`).
        into: A new folder for the repetition.

    Returns:
        A row for each file of the model, and for each set of rows that is another one. Where this machine is not like
        that of the run, a file that differs is noted and is no fault.

    Raises:
        InputError: the recorded options cannot be used here.
        VerdictError: an input is no longer where it was.
    """
    options, manifest = read_run(folder)
    command = _command_of(folder, manifest)
    for one in inputs_of(manifest):
        if one.files and not one.there:
            raise VerdictError(
                f"--replay: {one.role} {one.source} is no longer where it was, so the run cannot be repeated; put it "
                "back",
                NOT_AS_WRITTEN,
            )
    load_torch()
    reasons = unlike_places(manifest, environment())
    sys.stdout.write("".join(f"not as in the recorded run: {reason}\n" for reason in reasons))
    _run_again(command, _words(command, options, manifest, into))
    _, again = read_run(into)
    rows = {role: described["rows_sha256"] for role, described in again["data"].items()}
    others = [role for role, described in manifest["data"].items() if rows.get(role) != described["rows_sha256"]]
    found = [Check(f"replay: rows of {role}", 1, ("the rows are not those of the recorded run",)) for role in others]
    for name, fault in differing_files(folder, manifest, into, again).items():
        what = f"replay: {name}"
        if not fault:
            found.append(Check(what, 1, note=SAME_BITS))
            continue
        fault += _apart(folder / name, into / name)
        if reasons:
            found.append(Check(what, 1, note=f"not comparable bit for bit here: {fault}"))
        else:
            found.append(Check(what, 1, (f"{name} differs: {fault}",)))
    return found


def _command_of(folder: Path, manifest: Mapping[str, Any]) -> str:
    words = manifest["command"]
    command = str(words[1]) if words[:1] == ["ngdiff"] and len(words) > 1 else str(words[0])
    if command not in _RUN:
        raise InputError(f"--replay repeats runs of {' and '.join(_RUN)}; {folder} was written by {command}")
    return command


def _words(command: str, options: Mapping[str, Any], manifest: Mapping[str, Any], into: Path) -> list[str]:
    """The command line of the repetition: recorded options, inputs where they lie, another output."""
    given = {**options, **_places(options, manifest), "output": str(into)}
    if manifest.get("after") is not None:
        given |= {"after": manifest["after"]["place"], "model": None}  # the first implies the second
    processes = manifest["extra"].get("processes", 1)
    if processes > 1:  # the same rows in a step
        given = {name: value for name, value in given.items() if not name.startswith(_OF_PROCESSES)}
        given["gradient_accumulation_steps"] = processes * given.get("gradient_accumulation_steps", 1)
    kind = TASKS[options.get("task", "text")]
    parser: CommandParser = (kind.unlearn if command == "unlearn" else kind.finetune).parser
    return [word for words in parser.words_of(given, CONFIG).values() for word in words]


def _places(options: Mapping[str, Any], manifest: Mapping[str, Any]) -> dict[str, str]:
    """Where the inputs lie, by option; as they were typed where that names the same place from here."""
    model, data, own = manifest["model"], manifest["data"], manifest["own"]
    described = {"model": model, **{option.replace("-", "_"): one for option, one in own.items()}, **data}
    described |= {name: model.get(name, {}) for name in ("base_model", "chat_template", "tokenizer")}
    if "dataset" in options:  # one source of all sets
        described["dataset"] = next(iter(data.values()))
    places = {name: one["place"] for name, one in described.items() if one.get("place") and options.get(name)}
    return {name: place for name, place in places.items() if absolute_source(options[name]) != place}


def _run_again(command: str, words: list[str]) -> None:
    try:
        _RUN[command](words)
    except (VerdictError, RuinedModelError) as error:  # the recorded run may have ended like that; the model is written
        sys.stdout.write(f"{error}\n")
    except StoppedBySignal as stopped:
        stopped.resumable = False  # `verify` does not go on from a checkpoint
        raise
    finally:
        SIGNALS.resumable = False


def _apart(one: Path, other: Path) -> str:
    if one.suffix != ".safetensors" or not other.is_file():
        return ""
    from ngdiff.modeling.weight_difference import largest_difference

    return f"; largest absolute difference of a weight {largest_difference(one, other):.3g}"
