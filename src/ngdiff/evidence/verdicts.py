"""Output of verdicts: a table, and the failure of a command if a requirement is not met."""

from collections.abc import Mapping, Sequence
from typing import Any

from ngdiff.errors import VerdictError
from ngdiff.evidence.requirements import Verdict
from ngdiff.evidence.table import columns
from ngdiff.exit_codes import REQUIREMENT_NOT_MET
from ngdiff.scoring.quantities import shown


def verdict_table(verdicts: Sequence[Verdict]) -> str:
    """A line for each verdict; empty without any."""
    if not verdicts:
        return ""
    rows = [["required", "before", "found", "bound", "met"]]
    for one in verdicts:
        rows.append([one.require, shown(one.before), shown(one.value), shown(one.bound), _met(one)])
    return columns(rows)


def refuse_unmet(verdicts: Sequence[Verdict], where: object) -> None:
    """Fail, after all outputs are written, if a requirement is not met.

    Args:
        where: The run or evaluation that was checked.

    Raises:
        VerdictError: one of the requirements is not met.
    """
    unmet = [one for one in verdicts if one.met is False]
    if unmet:
        first = unmet[0]
        why = f"the value is {shown(first.value)}, the bound {shown(first.bound)}"
        if first.value is None:
            why = "it was not measured"
        elif first.bound is None:
            why = "the value before is unknown; give --before RUN, an evaluation of the model before unlearning"
        raise VerdictError(
            f"{len(unmet)} of {len(verdicts)} requirements are not met in {where}, first {first.require}: {why}. "
            "All outputs are written",
            REQUIREMENT_NOT_MET,
        )


def read_verdicts(extra: Mapping[str, Any]) -> list[Verdict]:
    """The verdicts in a manifest, under `extra`."""
    return [Verdict(**one) for one in extra.get("verdicts", ())]


def _met(verdict: Verdict) -> str:
    if verdict.met is None and verdict.value is not None:
        return "open: it was required of other rows"
    if verdict.met is None:
        return "open: ngdiff evaluate and ngdiff score check it"
    if verdict.met:
        return "yes"
    return "NO" if verdict.value is not None and verdict.bound is not None else "NO: not measured"
