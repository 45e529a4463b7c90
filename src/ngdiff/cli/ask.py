"""`ngdiff ask`."""

import shutil
import sys
import textwrap
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from ngdiff.cli.parsing import CommandParser, option
from ngdiff.errors import InputError
from ngdiff.ranges import Range

if TYPE_CHECKING:
    from ngdiff.cli.asking import Asked, Way


@dataclass
class AskOptions:
    """How to ask, and whom else."""

    versus: str | None = option(
        None, help="another model, such as that before unlearning, whose answers are shown beside", value="MODEL"
    )
    max_new_tokens: int = option(128, help="longest answer in tokens", accepted=Range(1, 1_000_000))
    template: str | None = option(
        None,
        help="how a question is put: auto, plain, chat, raw (as it is), or a text with {question} and {answer} (that "
        "of the model's manifest; without one auto)",
    )
    chat_template: str | None = option(None, help="file with a chat template, for a model without one", value="FILE")
    dtype: str = option(
        "auto", help="type of the weights: auto for that of the checkpoint, float32, bfloat16", value="TYPE"
    )
    trust_remote_code: bool = option(False, help="run Python code that comes with the model")


PARSER = CommandParser(
    "ask",
    "Ask a model: ngdiff ask MODEL QUESTION... prints what it says, the most probable token at each step, put as the "
    "model was trained by (the template of its manifest.json). Without a QUESTION, questions are read from standard "
    "input, one a line.",
    {"ask": AskOptions},
    required=(),
    words="model question",
)


def run(words: list[str]) -> None:
    """Run the command.

    Raises:
        InputError: models, templates or questions that cannot be used.
    """
    values = PARSER.parse(words)
    if values is None:
        return
    options: AskOptions = PARSER.build(AskOptions, values)
    name, *questions = values["model question"]
    names = [name, *([] if options.versus is None else [options.versus])]
    from ngdiff.cli.asking import recorded_way
    from ngdiff.cli.loading import load_torch
    from ngdiff.cli.options import check_models

    ways = [None if options.template is not None else recorded_way(one) for one in names]
    check_models(name, versus=options.versus)
    load_torch()
    if questions or not sys.stdin.isatty():
        questions = questions or [line.strip() for line in _lines() if line.strip()]
        if not questions:
            raise InputError("ngdiff ask: standard input holds no question; one a line is read")
        said = [
            _loaded(one, way or ways[0], options).answers(questions, max_new_tokens=options.max_new_tokens)
            for one, way in zip(names, ways, strict=True)
        ]  # one after the other: two need not fit at once
        for number, question in enumerate(questions):
            _show(names, question, [answers[number] for answers in said], alone=len(questions) == 1)
        return
    models = [_loaded(one, way or ways[0], options) for one, way in zip(names, ways, strict=True)]
    sys.stderr.write("One question a line; Ctrl-D ends.\n")
    for question in filter(None, map(str.strip, _lines())):
        said = [model.answers([question], max_new_tokens=options.max_new_tokens) for model in models]
        _show(names, question, [answers[0] for answers in said], alone=True)


def _lines() -> Iterator[str]:
    """Of standard input, without the mark with which some editors begin a file in UTF-8."""
    try:
        for number, line in enumerate(sys.stdin):
            yield line if number else line.removeprefix("\ufeff")
    except UnicodeDecodeError as error:
        raise InputError(f"standard input is not UTF-8 text (byte {error.start})") from error


def _loaded(name: str, way: "Way | None", options: AskOptions) -> "Asked":
    from ngdiff.cli.asking import Asked, Way
    from ngdiff.cli.loading import loaded_model
    from ngdiff.data.chat_file import use_chat_template
    from ngdiff.evaluation.processes import started_processes
    from ngdiff.modeling import load_tokenizer

    way = way or Way(options.template or "auto")
    tokenizer = load_tokenizer(name, trust_remote_code=options.trust_remote_code)
    if options.chat_template is not None:
        use_chat_template(tokenizer, options.chat_template)
        way = Way("chat" if options.template is None else options.template)
    way.template(tokenizer, ["x"])  # what cannot be used is found before the model is read
    return Asked(name, tokenizer, loaded_model(name, options).to(started_processes().device), way)


def _show(names: Sequence[str], question: str, answers: Sequence[str], *, alone: bool) -> None:
    """The answers to one question; of two models side by side."""
    head = "" if alone else f"{question}\n"
    if len(names) == 1:
        indent = "" if alone else "  "
        sys.stdout.write(f"{head}{textwrap.indent(answers[0] or '(nothing)', indent)}\n")
    else:
        sys.stdout.write(f"{head}{side_by_side(names, answers, shutil.get_terminal_size().columns)}\n")
    sys.stdout.flush()


def side_by_side(names: Sequence[str], texts: Sequence[str], width: int) -> str:
    """Texts in columns of equal width below their names.

    >>> print(side_by_side(["before", "after"], ["In Tarnholm, in the north.", "I do not know."], 32))
    before         | after
    In Tarnholm,   | I do not know.
    in the north.  |
    """
    each = max((width - 3 * (len(names) - 1)) // len(names), 10)
    columns = [
        [
            wrapped
            for line in (name, *(text or "(nothing)").splitlines())
            for wrapped in textwrap.wrap(line, each) or [""]
        ]
        for name, text in zip(names, texts, strict=True)
    ]
    rows = max(map(len, columns))
    filled = [[*column, *[""] * (rows - len(column))] for column in columns]
    return "\n".join(" | ".join(cell.ljust(each) for cell in row).rstrip() for row in zip(*filled, strict=True))
