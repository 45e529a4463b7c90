"""Our numbers beside the paper's: a table with the difference, as text, Markdown, LaTeX and JSON."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from ngdiff.recipes.ran import BEFORE, RETRAINED, Group
from ngdiff.recipes.recipe import Recipe
from ngdiff.scoring.formats import align_rows, escape_latex, escape_markdown, latex_rows, markdown_rows
from ngdiff.scoring.groups import mean_interval
from ngdiff.writing import json_text


@dataclass(frozen=True)
class Cell:
    """A number of a row.

    Attributes:
        ours: Mean over seeds; None if no run has it.
        half: Half of the mean's 95 % t-interval; None for one seed.
        paper: The paper's number; None if it is not known or there is none.
    """

    ours: float | None
    half: float | None
    paper: float | None

    @property
    def difference(self) -> float | None:
        """Ours minus the paper's."""
        return None if self.ours is None or self.paper is None else self.ours - self.paper


@dataclass(frozen=True)
class Row:
    """A method on a model and data set; `seeds`: number of runs with numbers."""

    data: str
    model: str
    paper_model: str
    variant: str
    seeds: int
    cells: Sequence[Cell]


@dataclass(frozen=True)
class PaperTable:
    """A table of the paper, with our numbers."""

    title: str
    columns: Sequence[str]
    rows: Sequence[Row]
    notes: Sequence[str]


def paper_table(recipe: Recipe, groups: Sequence[Group], notes: Sequence[str] = ()) -> PaperTable:
    """The table of a recipe.

    Args:
        recipe: Of a table.
        groups: The runs of each model and data set that it needs.
        notes: On all runs, below those of the recipe.
    """
    rows, faults = [], []
    for group in groups:
        place = group.paper if len(recipe.data) == 1 else f"{group.paper} on {group.data}"
        known = recipe.paper.get(place, {})
        for variant in (BEFORE, RETRAINED, *recipe.variants):
            runs = group.of(variant)
            paper = known.get(variant, [None] * len(recipe.columns))
            cells = []
            for key, theirs in zip(recipe.columns.values(), paper, strict=True):
                values = [value for run in runs if (value := run.value(key)) is not None]
                mean, half = mean_interval(values) if values else (None, None)
                cells.append(Cell(mean, half, theirs))
            count = sum(run.metrics is not None for run in runs)
            rows.append(Row(group.data, group.model, group.paper, variant, count, cells))
            faults += [f"{group.model}, {group.data}, {variant}: {run.fault}" for run in runs if run.fault]
    return PaperTable(recipe.title, list(recipe.columns), rows, [*recipe.notes, *notes, *faults])


def _grid(table: PaperTable) -> list[list[str]]:
    """Titles and cells. A method's name is preceded by its model and data set where there are several of them."""
    several = len({(row.data, row.model) for row in table.rows}) > 1
    titles = [part for column in table.columns for part in (column, "paper", "difference")]
    grid = [["method", "seeds", *titles]]
    for row in table.rows:
        name = f"{row.model}, {row.data}: {row.variant}" if several else row.variant
        cells = [text for cell in row.cells for text in (_ours(cell), _shown(cell.paper), _signed(cell.difference))]
        grid.append([name, str(row.seeds), *cells])
    return grid


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _signed(value: float | None) -> str:
    return "-" if value is None else f"{value:+.3f}"


def _ours(cell: Cell) -> str:
    return _shown(cell.ours) + ("" if cell.half is None else f" ± {cell.half:.3f}")


def _text(table: PaperTable) -> str:
    return "\n".join([table.title, "", *align_rows(_grid(table)), "", *(f"- {note}" for note in table.notes)]) + "\n"


def _markdown(table: PaperTable) -> str:
    grid = [[escape_markdown(cell) for cell in row] for row in _grid(table)]
    notes = "".join(f"- {escape_markdown(note)}\n" for note in table.notes)
    return f"{escape_markdown(table.title)}\n\n{markdown_rows(grid)}\n{notes}"


def _latex(table: PaperTable) -> str:
    grid = [[escape_latex(cell).replace("±", "$\\pm$") for cell in row] for row in _grid(table)]
    return "\n".join([f"% {table.title}", *latex_rows(grid), *(f"% {note}" for note in table.notes)]) + "\n"


def _json(table: PaperTable) -> str:
    return json_text(as_json(table))


def as_json(table: PaperTable) -> dict[str, Any]:
    """All numbers in full precision."""
    rows = []
    for row in table.rows:
        cells = zip(table.columns, row.cells, strict=True)
        numbers = {
            name: {"ours": one.ours, "half": one.half, "paper": one.paper, "difference": one.difference}
            for name, one in cells
        }
        place = {"data": row.data, "model": row.model, "paper_model": row.paper_model, "method": row.variant}
        rows.append({**place, "seeds": row.seeds, "numbers": numbers})
    return {"title": table.title, "source": "arXiv 2410.22086", "rows": rows, "notes": list(table.notes)}


# Suffix of a file -> what writes it.
FORMATS: dict[str, Callable[[PaperTable], str]] = {"txt": _text, "md": _markdown, "tex": _latex, "json": _json}
