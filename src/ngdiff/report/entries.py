"""The runs of a comparison, from words that name evaluations, runs, demos and sweeps."""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from ngdiff.errors import InputError
from ngdiff.file_names import MANIFEST
from ngdiff.report.compared_models import check_compared
from ngdiff.report.folders import Evaluation, Run, read_evaluation, read_subject, run_in, run_of
from ngdiff.report.logs import Log, read_log
from ngdiff.report.scores import Others, with_never_seen
from ngdiff.scoring.runs import name_and_place, read_runs, references_in, sweep_file

# Roles of an entry.
MODEL, BEFORE, RETRAINED = "model", "before", "retrained"


@dataclass(frozen=True)
class Entry:
    """A row of a comparison.

    Attributes:
        name: As given, or as its folder is called.
        metrics: Contents of its `metrics.json`.
        role: `model`; `before` for the model before unlearning; `retrained` for one that never saw the forget rows.
        run: That wrote the model; None where it is not known.
        evaluation: Where the numbers are from; None for numbers of a sweep.
        log: Of the run.
    """

    name: str
    metrics: dict[str, Any]
    role: str = MODEL
    run: Run | None = None
    evaluation: Evaluation | None = None
    log: Log = field(default_factory=Log)


def is_comparison(words: Sequence[str]) -> bool:
    """Whether the arguments request a comparison: several, or a sweep."""
    return len(words) > 1 or any(sweep_file(name_and_place(word)[1]) is not None for word in words)


def read_entries(words: Sequence[str], others: Others, references: Sequence[str] = ()) -> tuple[list[Entry], list[str]]:
    """All rows of a comparison, and notes.

    Args:
        words: `FOLDER` or `NAME=FOLDER`: of a run of `ngdiff unlearn`, whose evaluation is found as
            `ngdiff.report.folders.read_subject` does; of an evaluation, or its `metrics.json`; of a demo; of a sweep,
            which stands for all its runs.
        others: Evaluations of the models before and retrained. They are rows, too; where they are given, D is computed
            from records.
        references: Names of further rows of retrained models.

    Raises:
        InputError: nothing there, something damaged, two rows of one name, a reference that is no row, or is one of
            the models that are compared with it.
    """
    found = [entry for word in words for entry in _of_word(word)]
    notes: list[str] = []
    if others.before is not None or others.retrained is not None:
        scored = [(entry, _scored(entry, others)) for entry in found]
        found = [replace(entry, metrics=metrics) for entry, (metrics, _) in scored]
        notes = [f"{entry.name}: {note}" for entry, (_, own) in scored for note in own]
    for role, evaluation in (("before", others.before), ("retrained", others.retrained)):
        found = found if evaluation is None else _with(found, evaluation, role)
    names = [entry.name for entry in found]
    for name in names:
        if names.count(name) > 1:
            raise InputError(f"two runs are called {name!r}; tell them apart with NAME=FOLDER")
    for name in references:
        if name not in names:
            raise InputError(f"--reference {name}: no run is called so; one of {', '.join(names)}")
    entries = [replace(one, role=RETRAINED) if one.name in references else one for one in found]
    _check_retrained(entries)
    return entries, notes


def _check_retrained(entries: Sequence[Entry]) -> None:
    """Refuse a retrained model that is one of those compared with it, or that one of them was before unlearning."""
    for reference in entries:
        for entry in entries if reference.role == RETRAINED else ():
            if entry.role == MODEL:
                other = {"retrained": (f"{reference.name}, compared with {entry.name}", _model(reference))}
                check_compared(_model(entry), entry.run, other)


def _model(entry: Entry) -> Mapping[str, Any]:
    """What the manifest of its evaluation says; empty where there is none."""
    return {} if entry.evaluation is None else entry.evaluation.manifest.get("model", {})


def _of_word(word: str) -> Iterator[Entry]:
    name, place = name_and_place(word)
    if (sweep := sweep_file(place)) is not None:
        yield from _of_sweep(word, name, sweep.parent)
        return
    run = run_in(place) if place.is_dir() else None
    if run is None:
        runs = read_runs([word])
        if len(runs) > 1:  # several evaluations in one file
            yield from (Entry(own, numbers) for own, numbers in runs.items())
            return
        evaluation = read_evaluation(place)
        writer = _writer(evaluation)
        log = Log() if writer is None else read_log(writer.folder)
        ((own, numbers),) = runs.items()
        yield Entry(own, numbers, run=writer, evaluation=evaluation, log=log)
        return
    subject = read_subject(word)
    for role, other in ((BEFORE, subject.before), (RETRAINED, subject.retrained)):
        if other is not None:
            evaluation = read_evaluation(other)
            yield Entry(f"{subject.name}/{role}", dict(evaluation.metrics), role, evaluation=evaluation)
    evaluation, role = subject.evaluation, MODEL
    yield Entry(subject.name, dict(evaluation.metrics), role, run, evaluation, read_log(run.folder))


def _of_sweep(word: str, name: str, folder: Path) -> Iterator[Entry]:
    retrained = references_in([word])
    for own, metrics in read_runs([word]).items():
        inner = own.removeprefix(f"{name}/") if name else own
        place = folder / inner / "model"
        run = _run(place)
        role = RETRAINED if own in retrained else BEFORE if inner.split(",")[0] == BEFORE else MODEL
        yield Entry(own, metrics, role, run, None, read_log(place))


def _run(place: Path) -> Run | None:
    """The run of a sweep; None where its folder is gone, not finished or damaged: its numbers are in `sweep.json`."""
    try:
        return run_in(place) if (place / MANIFEST).is_file() else None
    except InputError:
        return None


def _writer(evaluation: Evaluation) -> Run | None:
    """The run that wrote the model of an evaluation, if it still exists unchanged."""
    try:
        return run_of(evaluation)
    except InputError:
        return None


def _scored(entry: Entry, others: Others) -> tuple[dict[str, Any], list[str]]:
    if entry.evaluation is None or entry.role != MODEL or _is_one_of(entry.evaluation, others):
        return entry.metrics, []
    metrics, notes = with_never_seen(entry.evaluation, others)
    return dict(metrics), notes


def _is_one_of(evaluation: Evaluation, others: Others) -> bool:
    return any(_same(evaluation, one) for one in others.given().values())


def _same(one: Evaluation | None, other: Evaluation) -> bool:
    return one is not None and one.file.resolve() == other.file.resolve()


def _with(found: list[Entry], evaluation: Evaluation, role: str) -> list[Entry]:
    """The rows with that of another model, by its role; where it is a row already, that one has the role."""
    if any(_same(entry.evaluation, evaluation) for entry in found):
        return [replace(one, role=role) if _same(one.evaluation, evaluation) else one for one in found]
    taken = {entry.name for entry in found}
    name = role if role not in taken else f"{role} ({evaluation.folder.name})"
    return [*found, Entry(name, dict(evaluation.metrics), role, evaluation=evaluation)]
