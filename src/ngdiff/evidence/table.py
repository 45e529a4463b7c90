"""Plain-text tables."""

from collections.abc import Sequence


def columns(rows: Sequence[Sequence[str]]) -> str:
    """Rows with aligned columns, separated by two spaces.

    >>> print(columns([["set", "rows"], ["forget", "4"]]), end="")
    set     rows
    forget  4
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return "".join(
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip() + "\n" for row in rows
    )
