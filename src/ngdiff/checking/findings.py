"""Findings: what was found, how bad that is, and what to do."""

import textwrap
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

# spoils: the run would be refused or its result worthless; doubtful: look at it; fine: as it should be.
Severity = Literal["spoils", "doubtful", "fine"]


@dataclass(frozen=True)
class Finding:
    """A row of the table.

    Attributes:
        what: Was looked at.
        severity: How bad what was found is.
        found: It, in numbers and names of rows, never in their texts.
        advice: What to do about it; empty where nothing is to be done.
    """

    what: str
    severity: Severity
    found: str
    advice: str = ""


def findings_table(findings: Sequence[Finding]) -> str:
    """All findings, advice below each."""
    width = max(len(one.what) for one in findings)
    lines = []
    for one in findings:
        lines += textwrap.wrap(f"{one.severity:<9} {one.what:<{width}}  {one.found}", 120, subsequent_indent=" " * 12)
        lines += textwrap.wrap(f"-> {one.advice}", 108, initial_indent=" " * 12, subsequent_indent=" " * 15)[
            : None if one.advice else 0
        ]
    return "\n".join(lines) + "\n"


def counted(findings: Sequence[Finding], severity: Severity) -> int:
    """How many of a severity."""
    return sum(one.severity == severity for one in findings)
