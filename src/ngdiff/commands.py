"""The commands as functions, for notebooks and scripts: the same options, checks and files as on the command line.

Options are named as there, with underscores: `--max-steps 50` is `max_steps=50`, `--overwrite` is `overwrite=True`.
Each function writes its folder or file and returns an object that shows itself as a table. For models, rows and
trainers in memory there is `ngdiff.UnlearnTrainer`.
"""

import os
from collections.abc import Mapping, Sequence
from numbers import Real
from pathlib import Path
from typing import Any

from ngdiff.cli.parsing import CommandParser
from ngdiff.cli.task_option import TASK_NAMES
from ngdiff.errors import InputError
from ngdiff.file_names import METRICS_FILE
from ngdiff.paths import user_path
from ngdiff.results import Audit, Evaluation, Run, Table

__all__ = [
    *("Audit", "Evaluation", "Run", "Table"),
    *("audit", "compare", "evaluate", "finetune", "report", "score", "unlearn"),
]

# A path, a name on the hub, or what one of the functions returned, in place of its folder.
Place = str | os.PathLike[str]


def unlearn(
    model: Place,
    forget: Place | None = None,
    retain: Place | None = None,
    output: Place | None = None,
    *,
    task: str = "text",
    **options: Any,
) -> Run:
    """`ngdiff unlearn`: make a model forget one set of rows and keep another.

    Args:
        model: Folder or hub name.
        forget, retain: Files, folders or hub names of rows; for images `dataset` and `forget_class`, `forget_rows` or
            `forget_images` in their place.
        output: Folder for the result.
        task: `text` or `image`.
        **options: Of the command, such as `holdout`, `base_model`, `method`, `lora_rank`, `max_steps`, `overwrite`.

    Raises:
        InputError: options, data or model that cannot be used; before any long work.
        RuinedModelError: the model is ruined; all is written.
        VerdictError: an earlier request came back, or what was required is not met; all is written.
    """
    from ngdiff.cli.tasks import TASKS
    from ngdiff.cli.unlearn import run

    if options.get("dry_run"):
        raise InputError("unlearn(): dry_run writes nothing that could be returned; use ngdiff unlearn --dry-run")
    given = {"model": model, "forget": forget, "retain": retain, "output": output, **options}
    run(_words(TASKS[_task(task)].unlearn.parser, "unlearn", given, task=task))
    return Run(user_path(os.fspath(output or ""), "output"))


def finetune(model: Place, train: Place, output: Place, **options: Any) -> Run:
    """`ngdiff finetune`: train a language model on rows until it recites them.

    Args:
        model: Folder or hub name, or the name of a shape.
        train: File, folder or hub name of rows.
        output: Folder for the result.
        **options: Of the command.

    Raises:
        InputError: options, data or model that cannot be used; before any long work.
        RuinedModelError: the model is ruined; all is written.
    """
    from ngdiff.cli.finetune import run
    from ngdiff.cli.tasks import TASKS

    given = {"model": model, "train": train, "output": output, **options}
    run(_words(TASKS["text"].finetune.parser, "finetune", given))
    return Run(user_path(os.fspath(output)))


def evaluate(model: Place, output: Place, *, task: str = "text", **options: Any) -> Evaluation:
    """`ngdiff evaluate`: measure what a model knows of each set.

    Args:
        model: Folder or hub name.
        output: Folder for the numbers and records.
        task: `text` or `image`.
        **options: Of the command, such as `forget`, `retain`, `holdout`, `benchmark`.

    Raises:
        InputError: options, data or model that cannot be used; before any long work.
        VerdictError: what was required is not met; all is written.
    """
    from ngdiff.cli.evaluate import run
    from ngdiff.cli.tasks import TASKS

    given = {"model": model, "output": output, **options}
    run(_words(TASKS[_task(task)].evaluate.parser, "evaluate", given, task=task))
    return Evaluation(user_path(os.fspath(output)))


def score(evaluation: Place, **options: Any) -> Evaluation:
    """`ngdiff score`: the numbers of an evaluation again, with those that take other evaluations, such as D.

    No model is loaded. The new numbers replace those in the evaluation's `metrics.json`.

    Args:
        evaluation: Folder that `evaluate` wrote.
        **options: Of the command, such as `before`, `retrained`, `base`, `audit`; the first three are evaluations.

    Raises:
        InputError: options or evaluations that cannot be used.
        VerdictError: what was required is not met; all is written.
    """
    from ngdiff.cli.score import PARSER, run

    folder = user_path(os.fspath(evaluation))
    given = dict(output=folder / METRICS_FILE, overwrite=True, **options)
    run([os.fspath(evaluation), *_words(PARSER, "score", given)])
    return Evaluation(folder)


def audit(model: Place, forget: Place, retain: Place, output: Place, **options: Any) -> Audit:
    """`ngdiff audit`: attack a model that has unlearned. Does it stay forgotten?

    Args:
        model: Folder or hub name.
        forget, retain: Files, folders or hub names of rows.
        output: Folder for the results.
        **options: Of the command, such as `retrained`, `holdout`, `attacks`, `minutes`.

    Raises:
        InputError: options, data or models that cannot be used; before any long work.
    """
    from ngdiff.cli.audit import PARSER, run

    given = {"forget": forget, "retain": retain, "output": output, **options}
    run([os.fspath(model), *_words(PARSER, "audit", given)])
    return Audit(user_path(os.fspath(output)))


def compare(
    runs: Mapping[str, Place] | Sequence[Place] | Place,
    *,
    metrics: str | Sequence[str] | None = None,
    reference: str | Sequence[str] = (),
    group: bool = False,
) -> Table:
    """`ngdiff compare`: several evaluations in one table.

    Args:
        runs: Folders of evaluations, by name or not; the folder of a sweep stands for all of its runs.
        metrics: Keys of the numbers, such as `forget.loss`, or a text of them with commas; None: those of the command.
        reference: Name of a run that never saw the forget set, or several.
        group: One row for runs whose names differ only by their seed: mean and t-interval.

    Raises:
        InputError: runs that cannot be used.
    """
    from ngdiff.cli.compare import table_of

    if isinstance(runs, str | os.PathLike):
        runs = [runs]
    pairs = runs.items() if isinstance(runs, Mapping) else ((None, run) for run in runs)
    words = [os.fspath(place) if name is None else f"{name}={os.fspath(place)}" for name, place in pairs]
    references = [reference] if isinstance(reference, str) else list(reference)
    keys = [key.strip() for key in metrics.split(",") if key.strip()] if isinstance(metrics, str) else metrics
    return Table(table_of(words, metrics=list(keys) if keys else None, references=references, group=group))


def report(*runs: Place, output: Place, **options: Any) -> Path:
    """`ngdiff report`: one page on a request to forget, or on several runs.

    Args:
        *runs: Folders of runs and evaluations.
        output: The page, `.html` or `.md`.
        **options: Of the command, such as `before`, `retrained`, `include_texts`, `overwrite`.

    Returns:
        The file.

    Raises:
        InputError: runs or options that cannot be used.
    """
    from ngdiff.cli.report import PARSER, run

    run([*(os.fspath(one) for one in runs), *_words(PARSER, "report", {"output": output, **options})])
    return user_path(os.fspath(output))


def _task(name: str) -> str:
    if name not in TASK_NAMES:
        raise InputError(f"task={name!r} is not known; one of {', '.join(TASK_NAMES)}")
    return name


def _words(parser: CommandParser, function: str, options: Mapping[str, Any], *, task: str = "text") -> list[str]:
    """Options as words of a command line.

    Raises:
        InputError: as `CommandParser.words_of`; an object that is in memory alone.
    """
    given = {name: value for name, value in options.items() if value is not None}
    for name, value in given.items():
        for one in value if isinstance(value, list) else [value]:
            # Of containers, the parser says what it cannot take.
            containers = isinstance(one, tuple | set | bytes | list) or (isinstance(one, dict) and one is value)
            if not (containers or isinstance(one, str | os.PathLike | Real)):
                raise InputError(
                    f"{function}(): {name} is or holds a {type(one).__name__}; commands read files: give a path or a "
                    "name on the hub. Models and rows that are in memory are for ngdiff.UnlearnTrainer"
                )
    plain = {name: os.fspath(value) if isinstance(value, os.PathLike) else value for name, value in given.items()}
    plain |= {} if task == "text" else {"task": task}
    return [word for words in parser.words_of(plain, f"{function}()").values() for word in words]
