"""Verdicts told: the table of them, and the end of a command where one is not met."""

from collections.abc import Mapping, Sequence
from typing import Any

from ngdiff.errors import VerdictError
from ngdiff.evidence.requirements import Verdict
from ngdiff.evidence.table import columns
from ngdiff.exit_codes import REQUIREMENT_NOT_MET
from ngdiff.scoring.quantities import shown


def verdict_table(verdicts: Sequence[Verdict]) -> str:
    """A line for each; nothing for none."""
    if not verdicts:
        return ""
    rows = [["required", "before", "found", "bound", "met"]]
    for one in verdicts:
        rows.append([one.require, shown(one.before), shown(one.value), shown(one.bound), _met(one)])
    return columns(rows)


def refuse_unmet(verdicts: Sequence[Verdict], where: object) -> None:
    """End a command that has done all it was to do.

    Args:
        where: what was judged.

    Raises:
        VerdictError: one of the requirements is not met.
    """
    unmet = [one for one in verdicts if one.met is False]
    if unmet:
        first = unmet[0]
        why = f"{shown(first.value)} was found, the bound is {shown(first.bound)}"
        if first.value is None:
            why = "it was not measured"
        elif first.bound is None:
            why = "the value before is not known; give --before RUN, an evaluation of the model before unlearning"
        raise VerdictError(
            f"{len(unmet)} of {len(verdicts)} requirements are not met in {where}, first {first.require}: {why}. "
            "All is written",
            REQUIREMENT_NOT_MET,
        )


def read_verdicts(extra: Mapping[str, Any]) -> list[Verdict]:
    """Those that a manifest holds under `extra`."""
    return [Verdict(**one) for one in extra.get("verdicts", ())]


def _met(verdict: Verdict) -> str:
    if verdict.met is None:
        return "open: ngdiff evaluate and ngdiff score judge it"
    if verdict.met:
        return "yes"
    return "NO" if verdict.value is not None and verdict.bound is not None else "NO: not measured"
