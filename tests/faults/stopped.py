"""What a run says that a signal has stopped."""

from ..end_to_end.runs import Outcome


def said(outcome: Outcome) -> str:
    """The last line of a run that was stopped."""
    lines = [line for line in outcome.err.splitlines() if line.startswith("ngdiff: ")]
    assert len(lines) == 1, outcome.err
    assert "Traceback" not in outcome.err
    return lines[0].removeprefix("ngdiff: ")
