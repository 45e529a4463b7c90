"""`ngdiff evaluate`."""

import sys
from collections.abc import Mapping
from typing import Any

from ngdiff.cli.evaluation_folder import EvaluationFolder
from ngdiff.cli.task import task_of
from ngdiff.cli.tasks import TASKS
from ngdiff.evaluation import format_table
from ngdiff.evaluation.processes import leave, started_processes
from ngdiff.evaluation.work import Work


def run(words: list[str]) -> None:
    """Run the command.

    Raises:
        InputError: options, data or model that cannot be used; before any long work.
    """
    kind = TASKS[task_of(words)].evaluate
    values = kind.parser.parse(words)
    if values is None:
        return
    options = kind.accepted(values)
    evaluation = kind(options)
    folder = EvaluationFolder(words, options, evaluation)
    evaluation.read()
    processes = started_processes()
    metrics = processes.broadcast(folder.finished() if processes.is_main else None)
    if metrics is None:
        evaluation.load(processes)
        with folder.begun_by(processes):
            result = evaluation.result(Work(processes, folder.journal))
            folder.write(result)
        metrics = result.as_json()
    if processes.is_main:
        _tell(metrics, options.output)
    leave()


def _tell(metrics: Mapping[str, Any], output: str | None) -> None:
    harness = metrics.get("lm_eval", {})
    if metrics.keys() - {"lm_eval"}:
        sys.stdout.write(format_table(metrics) + "\n")
    for task, numbers in harness.items():
        shown = "  ".join(f"{name} {value:.4f}" for name, value in numbers.items())
        sys.stdout.write(f"{task}  {shown}\n")
    if output is not None:
        sys.stdout.write(f"Written to {output}\n")
