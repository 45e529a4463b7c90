"""On a page: the bounds that were set before a run, judged, and what earlier requests made the model forget."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, NamedTuple

from ngdiff.evidence.chain import Retest
from ngdiff.evidence.ledger import read_retests
from ngdiff.evidence.requirements import (
    LOSSES,
    Requirement,
    Verdict,
    judge,
    numbers_of_metrics,
    parse_requirements,
    set_of,
)
from ngdiff.evidence.verdicts import read_verdicts
from ngdiff.file_names import MANIFEST
from ngdiff.plurals import number_of
from ngdiff.report.folders import Evaluation, Run
from ngdiff.scoring.quantities import shown

OTHER_ROWS = "open: it was required of other rows"


class RequiredLine(NamedTuple):
    """A bound as text, from `line_of`."""

    require: str
    before: str
    found: str
    bound: str
    met: str
    is_met: bool | None


class EarlierLine(NamedTuple):
    """An earlier request as text, from `earlier_line_of`."""

    place: str
    before: str
    after: str
    now: str
    state: str


@dataclass(frozen=True)
class Required:
    """The bounds of a run and of its evaluation, and its earlier requests.

    Attributes:
        lines: A bound each.
        earlier: An earlier request each.
        problems: Sentences on what is not met, and on requests that came back.
        findings: A sentence on bounds that are all met.
    """

    lines: list[RequiredLine]
    earlier: list[EarlierLine]
    problems: list[str]
    findings: list[str]


def required(
    run: Run, evaluation: Evaluation, metrics: Mapping[str, Any], before: Evaluation | None = None
) -> Required:
    """What was required before the run, and what came of it.

    A bound on a loss that the run has judged keeps that verdict. Any other is judged by the numbers of the page; where
    these lack one, by what the evaluation found. One without a number is not met, as for `ngdiff evaluate`.

    Args:
        run: That the page is about.
        evaluation: Of its model.
        metrics: The numbers of the evaluation, with those of other evaluations (D).
        before: Evaluation of the model before unlearning.
    """
    verdicts = _verdicts(run, evaluation, metrics, before)
    retests = read_retests(run.manifest["extra"])
    lines = [line_of(one) for one in verdicts]
    return Required(lines, [earlier_line_of(one) for one in retests], _problems(verdicts, retests), _all_met(verdicts))


def line_of(one: Verdict) -> RequiredLine:
    """A verdict as text."""
    measured = _is_measured(one)
    open_ = "open" if one.value is None else OTHER_ROWS
    met = {True: "yes", False: "no" if measured else "no: not measured", None: open_}[one.met]
    return RequiredLine(one.require, shown(one.before), shown(one.value), shown(one.bound), met, one.met)


def earlier_line_of(one: Retest) -> EarlierLine:
    """A re-test as text."""
    return EarlierLine(one.place, shown(one.before), shown(one.after), shown(one.now), one.state)


def _is_measured(one: Verdict) -> bool:
    return one.value is not None and one.bound is not None


def _verdicts(run: Run, evaluation: Evaluation, metrics: Mapping[str, Any], before: Evaluation | None) -> list[Verdict]:
    asked = _requirements(run.manifest)
    own = {text: one for text, one in _requirements(evaluation.manifest).items() if text not in asked}
    if not asked and not own:
        return []
    told = {one.require: one for one in read_verdicts(run.manifest["extra"])}
    found = {one.require: one for one in read_verdicts(evaluation.manifest.get("extra", {}))}
    values = numbers_of_metrics(metrics)
    earlier = None if before is None else numbers_of_metrics(before.metrics)
    verdicts = []
    for text, one in {**asked, **own}.items():
        if one.quantity in LOSSES and text in told and told[text].met is not None:
            verdicts.append(told[text])
            continue
        known = earlier if before is not None and not _of_other_rows(one, before, evaluation) else None
        [verdict] = judge([one], values, known, must_be_measured=True)
        if (verdict.value is None or verdict.bound is None) and text in found and found[text].bound is not None:
            verdict = found[text]
        open_ = text in asked and _of_other_rows(one, evaluation, run)
        verdicts.append(replace(verdict, met=None) if open_ else verdict)
    return verdicts


def _requirements(manifest: Mapping[str, Any]) -> dict[str, Requirement]:
    texts = manifest.get("extra", {}).get("requirements", ())
    return {one.text: one for text in texts for one in parse_requirements(text, MANIFEST)}


def _of_other_rows(one: Requirement, first: Evaluation | Run, second: Evaluation | Run) -> bool:
    """Whether a bound is on rows of which the two manifests have different ones."""
    left, right = (
        {name: own["rows_sha256"] for name, own in it.manifest.get("data", {}).items()} for it in (first, second)
    )
    of = set_of(one)
    names = [of] if of in right else list(right)
    return any(name in left and left[name] != right[name] for name in names)


def _problems(verdicts: list[Verdict], retests: list[Retest]) -> list[str]:
    unmet = [f"{one.require}{'' if _is_measured(one) else ' (not measured)'}" for one in verdicts if one.met is False]
    back = [one.place for one in retests if one.state == "came back"]
    found = []
    if unmet:
        are = "is" if len(unmet) == 1 else "are"
        found.append(
            f"Of {number_of(len(verdicts), 'bound')} set before the result was known, {len(unmet)} {are} not met: "
            f"{', '.join(unmet)}."
        )
    if back:
        found.append(f"Rows that an earlier request made the model forget came back: {', '.join(back)}.")
    return found


def _all_met(verdicts: list[Verdict]) -> list[str]:
    if not verdicts or any(one.met is not True for one in verdicts):
        return []
    if len(verdicts) == 1:
        return ["The bound that was set before the result was known is met."]
    return [f"All {len(verdicts)} bounds that were set before the result was known are met."]
