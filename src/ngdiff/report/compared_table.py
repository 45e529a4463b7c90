"""A comparison as the table of a page: cells with what is shown, and what they are sorted by."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ngdiff.scoring.compare import Comparison
from ngdiff.scoring.quantities import at, shown, shown_interval


@dataclass(frozen=True)
class Cell:
    """A number: `text`, the sort key, the text below it, whether it is the best of its column."""

    text: str
    value: str
    below: str
    best: bool


@dataclass(frozen=True)
class Row:
    """A run, or the runs that differ by their seed alone; `n` of them."""

    name: str
    role: str
    n: int
    cells: list[Cell]


@dataclass(frozen=True)
class Table:
    """`titles`: of the columns, each with its arrow. `grouped`: numbers are means. `marked`: some are best."""

    titles: list[tuple[str, str]]
    rows: list[Row]
    grouped: bool
    marked: bool


def page_table(
    table: Comparison, rivals: Comparison, metrics: Mapping[str, Mapping[str, Any]], roles: Mapping[str, str]
) -> Table:
    """The table of `compare` or `compare_groups`.

    Args:
        table: The comparison.
        rivals: The same without the model before unlearning, which would be the best at what is kept.
        metrics: Of its rows, for intervals; those of groups are in the comparison.
        roles: Of its rows by name.
    """
    best = {
        (name, quantity.key): rivals.best[place][column]
        for place, name in enumerate(rivals.names)
        for column, quantity in enumerate(rivals.quantities)
    }
    rows = []
    for place, name in enumerate(table.names):
        size = table.sizes[place] if table.sizes else 1
        cells = []
        for column, quantity in enumerate(table.quantities):
            value = table.values[place][column]
            spread = table.spreads[place][column] if table.spreads else None
            below = ""
            if spread is not None and spread.half is not None:
                below = f"± {shown(spread.half)}" + (f", n = {spread.n}" if spread.n != size else "")
            elif size == 1 and (ends := at(metrics.get(name, {}), quantity.interval)) is not None:
                below = shown_interval(ends)
            cells.append(
                Cell(
                    shown(value),
                    "" if value is None else repr(float(value)),
                    below,
                    best.get((name, quantity.key), False),
                )
            )
        rows.append(Row(name, roles.get(name, ""), size, cells))
    grouped = any(size > 1 for size in table.sizes)
    titles = list(zip(table.titles, table.arrows, strict=True))
    return Table(titles, rows, grouped, any(best.values()))
