"""The content of a page on one request to forget: plain data, which the templates show."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ngdiff.errors import InputError
from ngdiff.report.asked import Asked, asked
from ngdiff.report.audit_results import Audit, AuditResults, audit_near, results_of
from ngdiff.report.checks import Check, checks
from ngdiff.report.curve_charts import curve_charts
from ngdiff.report.distance_parts import DistanceTable, distance_tables
from ngdiff.report.findings import audit_findings, findings
from ngdiff.report.folders import Run, Subject
from ngdiff.report.limits import limits
from ngdiff.report.logs import read_log
from ngdiff.report.measured import Measured, measured
from ngdiff.report.probe_charts import probe_chart
from ngdiff.report.required import Required, required
from ngdiff.report.samples import Samples, samples
from ngdiff.report.scores import Others, with_never_seen
from ngdiff.report.svg import Chart
from ngdiff.report.worst_rows import WorstRows, worst_rows
from ngdiff.scoring import distance_notes, over_forgotten_notes, reference_notes
from ngdiff.scoring.notes import row_notes
from ngdiff.scoring.quantities import numbers_of, set_names


@dataclass(frozen=True)
class Request:
    """One unlearning run with its evaluation.

    Attributes:
        name: Of the run.
        findings: The result in sentences.
        required: The bounds set before, and what earlier requests made the model forget.
        asked: What was to be forgotten, by which model and method.
        checks: What was compared with hashes.
        measured: Numbers before, after and retrained.
        distances: D by its parts; none without D.
        worst: The rows that a mean hides.
        charts: The run over its steps.
        audit: What attacks brought back; None without an audit.
        samples: Texts; None where they were not asked for.
        limits: What the page does not prove.
        notes: On the numbers.
        versions: Of programs, by name.
    """

    name: str
    findings: list[str]
    required: Required
    asked: Asked
    checks: list[Check]
    measured: Measured
    distances: list[DistanceTable]
    worst: list[WorstRows]
    charts: list[Chart]
    audit: AuditResults | None
    samples: Samples | None
    limits: list[str]
    notes: list[str]
    versions: Mapping[str, str]


def request(subject: Subject, others: Others, *, audit: Audit | None = None, include_texts: bool = False) -> Request:
    """The page of one request.

    Args:
        subject: A run of `ngdiff unlearn` (or `ngdiff demo`) with its evaluation.
        others: Evaluations that it is compared with.
        audit: Of the run's model; None: the one next to the run is used, if there is one.
        include_texts: With prompts and answers, from the records.

    Raises:
        InputError: no run, or one that forgot nothing; records that are damaged, missing or of other rows.
    """
    run = _unlearning(subject)
    audit = audit or audit_near(run)
    results = None if audit is None else results_of(audit)
    metrics, notes = with_never_seen(subject.evaluation, others)
    columns: dict[str, Mapping[str, Any]] = {"after": metrics}
    columns |= {role: one.metrics for role, one in others.given().items() if role != "base"}
    columns = {role: columns[role] for role in ("before", "after", "retrained") if role in columns}
    retrained = {name: one for name, one in columns.items() if name == "retrained"}
    notes += over_forgotten_notes({"the model": metrics}, retrained)
    notes += reference_notes({"the model": metrics}, retrained)
    notes += distance_notes(metrics) if others.given() else []
    notes += [note for name in set_names([metrics]) for note in row_notes(name, numbers_of(metrics, name))]
    own = required(run, subject.evaluation, metrics, others.given().get("before"))
    return Request(
        name=subject.name,
        findings=[*findings(columns), *own.findings, *audit_findings(results)],
        required=own,
        asked=asked(run),
        checks=checks(run, subject.evaluation, audit, others.given().get("before")),
        measured=measured(columns),
        distances=distance_tables(metrics),
        worst=worst_rows(metrics),
        charts=_charts(run),
        audit=results,
        samples=samples(subject.evaluation, others) if include_texts else None,
        limits=limits(columns, run, attacked=results is not None),
        notes=[note.removeprefix("note: ") for note in notes],
        versions=run.manifest["versions"],
    )


def _charts(run: Run) -> list[Chart]:
    """The curves over the steps, and the loss along the last direction that a probe took."""
    log = read_log(run.folder)
    probe = probe_chart(log, protected="protect" in run.manifest["data"])
    return [*curve_charts(log), *([] if probe is None else [probe])]


def _unlearning(subject: Subject) -> Run:
    place = subject.evaluation.folder
    if subject.run is None:
        source = subject.evaluation.manifest.get("model", {}).get("source")
        named = "says nothing of its model" if source is None else f"evaluates {source}, where no such run is"
        raise InputError(
            f"{place} {named}; a page on a request needs the folder of the ngdiff unlearn run: ngdiff report RUN "
            f"--scores {place}"
        )
    finetuned = subject.run.command == "finetune"
    if finetuned or "train" in subject.run.manifest["data"]:
        name = "ngdiff finetune" if finetuned else "training"
        raise InputError(f"{subject.run.folder} is a run of {name}; a page on a request is about ngdiff unlearn")
    return subject.run
