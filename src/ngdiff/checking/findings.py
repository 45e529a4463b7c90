"""Findings: a result, its severity, and advice."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

# spoils: the run would be refused or its result worthless; doubtful: needs a look; fine: as it should be; skipped: not
# checked, for lack of an input.
Severity = Literal["spoils", "doubtful", "fine", "skipped"]


@dataclass(frozen=True)
class Finding:
    """A row of the table.

    Attributes:
        what: What was checked.
        severity: Its severity.
        found: The result, in numbers and names of rows, never with their texts.
        advice: What to do about it; empty if nothing.
    """

    what: str
    severity: Severity
    found: str
    advice: str = ""


def findings_table(findings: Sequence[Finding]) -> str:
    """All findings, each followed by its advice."""
    width = max(len(one.what) for one in findings)
    lines = []
    for one in findings:
        lines += textwrap.wrap(f"{one.severity:<9} {one.what:<{width}}  {one.found}", 120, subsequent_indent=" " * 12)
        lines += textwrap.wrap(f"-> {one.advice}", 108, initial_indent=" " * 12, subsequent_indent=" " * 15)[
            : None if one.advice else 0
        ]
    return "\n".join(lines) + "\n"


def counted(findings: Sequence[Finding], severity: Severity) -> int:
    """The number of findings of a severity."""
    return sum(one.severity == severity for one in findings)
