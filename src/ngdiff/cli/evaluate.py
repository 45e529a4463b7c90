"""`ngdiff evaluate`."""

import sys
from collections.abc import Mapping
from typing import Any

from ngdiff.cli.evaluation_folder import EvaluationFolder
from ngdiff.cli.loading import load_torch
from ngdiff.cli.processes import say
from ngdiff.cli.require import Judge, check_before, metrics_before, rows_before, texts_of
from ngdiff.cli.task_option import task_of
from ngdiff.cli.tasks import TASKS
from ngdiff.evidence.verdicts import refuse_unmet, verdict_table


def run(words: list[str]) -> None:
    """Run the command.

    Raises:
        InputError: options, data or model that cannot be used; before any long work.
        VerdictError: what was required is not met; all is written.
    """
    kind = TASKS[task_of(words)].evaluate
    values = kind.parser.parse(words)
    if values is None:
        return
    options = kind.accepted(values)
    judge, before = Judge(options, options.model), metrics_before(options.before)
    judge.refuse_idle_before(options.before)
    evaluation = kind(options)
    if options.before is not None:
        check_before(options.before, evaluation.model_files())
    evaluation.inputs += [] if options.before is None else [options.before]
    folder = EvaluationFolder(words, options, evaluation, texts_of(judge.requirements))
    evaluation.open_inputs()
    load_torch()

    from ngdiff.evaluation.processes import leave, started_processes
    from ngdiff.evaluation.work import Work

    evaluation.read()
    if options.task == "text" and judge.requirements:
        hashes, then = {k: v["rows_sha256"] for k, v in evaluation.data().items()}, rows_before(options.before)
        judge.refuse_other_rows([name for name in hashes.keys() & then if hashes[name] != then[name]["rows_sha256"]])
        judge.leave_open(hashes)
    processes = started_processes()
    metrics = processes.broadcast(folder.finished() if processes.is_main else None)
    if metrics is None:
        evaluation.load(processes)
        with folder.begun_by(processes):
            result = evaluation.result(Work(processes, folder.journal))
            folder.write(result)
            if processes.is_main:
                folder.verdicts = judge.verdicts(result.as_json(), before)
        metrics = result.as_json()
    verdicts = processes.broadcast(judge.verdicts(metrics, before) if processes.is_main else None)
    if processes.is_main:
        _tell(metrics, options.output)
    leave()
    say(verdict_table(verdicts))
    refuse_unmet(verdicts, options.output or options.model)


def _tell(metrics: Mapping[str, Any], output: str | None) -> None:
    from ngdiff.scoring import format_table

    harness = metrics.get("lm_eval", {})
    if metrics.keys() - {"lm_eval"}:
        sys.stdout.write(format_table(metrics) + "\n")
    for task, numbers in harness.items():
        shown = "  ".join(f"{name} {value:.4f}" for name, value in numbers.items())
        sys.stdout.write(f"{task}  {shown}\n")
    if output is not None:
        sys.stdout.write(f"Written to {output}\n")
