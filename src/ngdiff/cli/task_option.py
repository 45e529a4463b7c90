"""`--task`: texts or images, which have options of their own."""

from collections.abc import Sequence
from dataclasses import dataclass

from ngdiff.cli.config_file import read_config
from ngdiff.cli.parsing import option
from ngdiff.errors import InputError
from ngdiff.option import check_choice

TASK_NAMES = ("text", "image")


@dataclass
class TaskOptions:
    """The kind of model and rows."""

    task: str = option("text", help="text or image, whose options --task image --help lists", value="NAME")


def task_of(words: Sequence[str]) -> str:
    """The task that a command line asks for, or the file of its `--config`; looked for before anything is parsed.

    Raises:
        InputError: another name than those of `TASK_NAMES`.
    """
    task = value_in(words, "--task") or _of_config(value_in(words, "--config")) or "text"
    check_choice("--task", task, TASK_NAMES)
    return task


def value_in(words: Sequence[str], name: str) -> str | None:
    """The value of an option, `NAME VALUE` or `NAME=VALUE`; the last one counts."""
    value = None
    for place, word in enumerate(words):
        if word == name:
            value = words[place + 1] if place + 1 < len(words) else None
        elif word.startswith(f"{name}="):
            value = word.partition("=")[2]
    return value


def _of_config(file: str | None) -> str | None:
    if file is None:
        return None
    try:
        task = read_config(file).get("task")
    except InputError:
        return None  # the parser says what is wrong with it
    return None if task is None else str(task)
