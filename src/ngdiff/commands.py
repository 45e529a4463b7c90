"""The commands as functions, for notebooks and scripts: the same options, checks and files as on the command line.

Options are named as there, with underscores: `--max-steps 50` is `max_steps=50`, `--overwrite` is `overwrite=True`.
Each function writes its folder or file and returns an object that shows itself as a table. For models, rows and
trainers in memory there is `ngdiff.UnlearnTrainer`.
"""

import html
import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from ngdiff.cli.parsing import CommandParser
from ngdiff.cli.task import TASKS as TASK_NAMES
from ngdiff.errors import InputError
from ngdiff.evidence.read_run import read_run
from ngdiff.paths import user_path
from ngdiff.scoring import FORMATS, Comparison, compare_groups, format_table, read_runs, references_in
from ngdiff.scoring import compare as compare_runs


class _Preformatted:
    """Shows its text as it is."""

    def _repr_html_(self) -> str:
        return f"<pre>{html.escape(str(self))}</pre>"


@dataclass(frozen=True)
class Run:
    """What `unlearn` or `finetune` wrote.

    Args:
        folder: The output folder; `from_pretrained` loads the model from it.
    """

    folder: Path

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """Hashes, options, versions and numbers (docs/evidence.md)."""
        return read_run(self.folder)[1]

    @property
    def losses(self) -> dict[str, tuple[float | None, float | None]]:
        """Mean loss of each set before and after, in nats a token; None where it was no number."""
        extra = self.manifest["extra"]
        before, after = extra.get("losses_before", {}), extra.get("losses_after", {})
        return {name: (before.get(name), value) for name, value in after.items()}

    @property
    def curves(self) -> Path | None:
        """The figure of losses, norms and learning rate, if there is one."""
        file = self.folder / "curves.png"
        return file if file.is_file() else None

    @cached_property
    def log(self) -> list[dict[str, Any]]:
        """Figures of each step of `unlearn`; empty for `finetune`, which writes none."""
        file = self.folder / "training_log.json"
        steps: list[dict[str, Any]] = json.loads(file.read_text("utf-8"))["steps"] if file.is_file() else []
        return steps

    def __str__(self) -> str:
        rows = [
            f"{name} loss: {_shown(before)} before, {_shown(after)} after" for name, (before, after) in self._rows()
        ]
        return "\n".join([f"{self.folder}", *rows])

    def _repr_html_(self) -> str:
        rows = [[name, _shown(before), _shown(after)] for name, (before, after) in self._rows()]
        return _html_table(["loss, nats a token", "before", "after"], rows, caption=str(self.folder))

    def _rows(self) -> list[tuple[str, tuple[float | None, float | None]]]:
        return sorted(self.losses.items())


@dataclass(frozen=True)
class Evaluation(_Preformatted):
    """What `evaluate` wrote.

    Args:
        folder: The output folder; `private/` holds the records.
    """

    folder: Path

    @cached_property
    def metrics(self) -> dict[str, Any]:
        """The contents of `metrics.json`: by set, and over all."""
        found: dict[str, Any] = json.loads((self.folder / "metrics.json").read_text(encoding="utf-8"))
        return found

    def __str__(self) -> str:
        return format_table({name: value for name, value in self.metrics.items() if name != "lm_eval"})


@dataclass(frozen=True)
class Table(_Preformatted):
    """What `compare` found."""

    comparison: Comparison

    def to(self, form: str) -> str:
        """The table as `text`, `markdown`, `csv` or `latex`.

        Raises:
            InputError: another form.
        """
        if form not in FORMATS:
            raise InputError(f"{form} is no form of a table; one of {', '.join(FORMATS)}")
        return FORMATS[form](self.comparison)

    def values(self) -> dict[str, dict[str, float | None]]:
        """Run -> key of a number -> the number; for `pandas.DataFrame.from_dict(..., orient="index")`."""
        keys = [quantity.key for quantity in self.comparison.quantities]
        return {
            name: dict(zip(keys, row, strict=True))
            for name, row in zip(self.comparison.names, self.comparison.values, strict=True)
        }

    def __str__(self) -> str:
        return self.to("text")


@dataclass(frozen=True)
class Audit(_Preformatted):
    """What `audit` wrote.

    Args:
        folder: The output folder; `private/` holds the records.
    """

    folder: Path

    @cached_property
    def found(self) -> dict[str, Any]:
        """The contents of `audit.json`."""
        found: dict[str, Any] = json.loads((self.folder / "audit.json").read_text(encoding="utf-8"))
        return found

    @property
    def robustness(self) -> float | None:
        """1: no attack brings back more than from the reference; None without a reference."""
        value: float | None = self.found["robustness"]
        return value

    def __str__(self) -> str:
        from ngdiff.cli.audit_table import audit_table

        return audit_table(self.found)


def unlearn(
    model: str | Path,
    forget: str | Path | None = None,
    retain: str | Path | None = None,
    output: str | Path | None = None,
    *,
    task: str = "text",
    **options: Any,
) -> Run:
    """`ngdiff unlearn`: make a model forget one set of rows and keep another.

    Args:
        model: Folder or hub name.
        forget, retain: Files, folders or hub names of rows; for images `dataset` and `forget_class` in their place.
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

    given = {"model": model, "forget": forget, "retain": retain, "output": output, **options}
    run(_words(TASKS[_task(task)].unlearn.parser, "unlearn", given, task=task))
    return Run(user_path(str(output)))


def finetune(model: str | Path, train: str | Path, output: str | Path, **options: Any) -> Run:
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
    return Run(user_path(output))


def evaluate(model: str | Path, output: str | Path, *, task: str = "text", **options: Any) -> Evaluation:
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
    return Evaluation(user_path(output))


def audit(model: str | Path, forget: str | Path, retain: str | Path, output: str | Path, **options: Any) -> Audit:
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
    run([str(model), *_words(PARSER, "audit", given)])
    return Audit(user_path(output))


def compare(
    runs: Mapping[str, str | Path] | Sequence[str | Path],
    *,
    metrics: Sequence[str] | None = None,
    reference: Sequence[str] = (),
    group: bool = False,
) -> Table:
    """`ngdiff compare`: several evaluations in one table.

    Args:
        runs: Folders of evaluations, by name or not; the folder of a sweep stands for all of its runs.
        metrics: Keys of the numbers, such as `forget.loss`; None: those of the command.
        reference: Names of runs that never saw the forget set.
        group: One row for runs whose names differ only by their seed: mean and t-interval.

    Raises:
        InputError: runs that cannot be used.
    """
    pairs = runs.items() if isinstance(runs, Mapping) else ((None, run) for run in runs)
    words = [str(place) if name is None else f"{name}={place}" for name, place in pairs]
    made = compare_groups if group else compare_runs
    references = list(reference) or references_in(words)
    return Table(made(read_runs(words), metrics=list(metrics) if metrics else None, references=references))


def report(*runs: str | Path, output: str | Path, **options: Any) -> Path:
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

    run([*map(str, runs), *_words(PARSER, "report", {"output": output, **options})])
    return user_path(output)


def _task(name: str) -> str:
    if name not in TASK_NAMES:
        raise InputError(f"task={name!r} is not known; one of {', '.join(TASK_NAMES)}")
    return name


def _words(parser: CommandParser, function: str, options: Mapping[str, Any], *, task: str = "text") -> list[str]:
    """Options as words of a command line."""
    given = {name: value for name, value in options.items() if value is not None}
    plain = {name: str(value) if isinstance(value, Path) else value for name, value in given.items()}
    plain |= {} if task == "text" else {"task": task}
    return [word for words in parser.words_of(plain, f"{function}()").values() for word in words]


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.4f}"


def _html_table(head: Sequence[str], rows: Sequence[Sequence[str]], *, caption: str) -> str:
    def line(cells: Sequence[str], tag: str) -> str:
        return f"<tr>{''.join(f'<{tag}>{html.escape(cell)}</{tag}>' for cell in cells)}</tr>"

    body = "".join(line(row, "td") for row in rows)
    return f"<table><caption>{html.escape(caption)}</caption>{line(head, 'th')}{body}</table>"
