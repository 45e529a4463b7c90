"""A comparison as text, Markdown, CSV and LaTeX."""

import csv
import io
import re
from collections.abc import Callable, Sequence
from typing import NamedTuple

from ngdiff.scoring.compare import Comparison
from ngdiff.scoring.quantities import shown


def to_text(table: Comparison) -> str:
    """Aligned columns; a `*` marks the best value of each."""
    marked = any(map(any, table.best))
    rows = [["", *_with_arrows(table)]] + [
        [name, *(f"{_text(cell)}{'*' if cell.best else ' ' if marked else ''}" for cell in cells)]
        for name, cells in _rows(table)
    ]
    if marked:  # the titles end where the digits do
        rows[0][1:] = [f"{title} " for title in rows[0][1:]]
    lines = align_rows(_with_sizes(table, rows))
    return "\n".join([*lines, *(["* best of its column"] if marked else []), *table.notes]) + "\n"


def to_markdown(table: Comparison) -> str:
    """A table in GitHub's Markdown, followed by the notes; the best value of each column is bold."""
    titles = [escape_markdown(title) for title in _with_arrows(table)]
    rows = [["method", *titles]]
    for name, cells in _rows(table):
        rows.append([escape_markdown(name), *(f"**{_text(cell)}**" if cell.best else _text(cell) for cell in cells)])
    notes = "".join(f"\n{escape_markdown(note)}\n" for note in table.notes)
    return markdown_rows(_with_sizes(table, rows)) + notes


def to_csv(table: Comparison) -> str:
    """Comma-separated values in full precision, with their keys as headers; a missing value is `-`.

    With references, a last column `over_forgotten` lists the keys of the numbers beyond theirs, separated by spaces;
    `-` for none. For groups, each number has two more columns: `KEY.half`, half its t-interval, and `KEY.n`.
    """
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    more = ("", ".half", ".n") if table.spreads else ("",)
    beyond = [" ".join(one.quantity.key for one in own) or "-" for own in table.over]
    keys = [quantity.key + end for quantity in table.quantities for end in more]
    rows = [["method", *keys]]
    for (name, cells), spreads in zip(_rows(table), table.spreads or [()] * len(table.names), strict=True):
        parts = [(cell.value,) for cell in cells]
        if table.spreads:
            parts = [(*own, *(spread or (None, 0))) for own, spread in zip(parts, spreads, strict=True)]
        rows.append([name, *("-" if value is None else repr(value) for part in parts for value in part)])
    rows = _with_sizes(table, rows)
    writer.writerow([*rows[0], *(["over_forgotten"] if beyond else [])])
    for place, row in enumerate(rows[1:]):
        writer.writerow([*row, *beyond[place : place + 1]])
    return file.getvalue()


def to_latex(table: Comparison) -> str:
    """A `tabular` with the rules of booktabs, with the notes as comments; the best value of each column is bold."""
    arrows = [_LATEX_ARROWS.get(way, _latex_target(way)) for way in table.arrows]
    titles = [f"{escape_latex(title)} {way}".rstrip() for title, way in zip(table.titles, arrows, strict=True)]
    rows = [["method", *titles]]
    for name, cells in _rows(table):
        rows.append([escape_latex(name), *map(_latex_cell, cells)])
    notes = [f"% {note}" for note in table.notes]
    return "\n".join([*latex_rows(_with_sizes(table, rows)), *notes]) + "\n"


def align_rows(rows: Sequence[Sequence[str]]) -> list[str]:
    """Lines of aligned columns, the first to the left, the others to the right.

    >>> align_rows([["", "n"], ["gd", "10"]])
    ['     n', 'gd  10']
    """
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    return ["  ".join([f"{r[0]:<{widths[0]}}", *map(str.rjust, r[1:], widths[1:])]).rstrip() for r in rows]


def markdown_rows(rows: Sequence[Sequence[str]]) -> str:
    """A table in GitHub's Markdown; the first row holds the titles, all cells are escaped."""
    rule = [":--", *["--:"] * (len(rows[0]) - 1)]
    return "".join(f"| {' | '.join(row)} |\n" for row in (rows[0], rule, *rows[1:]))


def latex_rows(rows: Sequence[Sequence[str]]) -> list[str]:
    """The lines of a `tabular` with the rules of booktabs; the first row holds the titles, all cells are escaped."""
    head, *body = [f"{' & '.join(row)} \\\\" for row in rows]
    return [
        "% needs \\usepackage{booktabs}",
        f"\\begin{{tabular}}{{l{'r' * (len(rows[0]) - 1)}}}",
        *("\\toprule", head, "\\midrule"),
        *body,
        *("\\bottomrule", "\\end{tabular}"),
    ]


FORMATS: dict[str, Callable[[Comparison], str]] = {
    "text": to_text,
    "markdown": to_markdown,
    "csv": to_csv,
    "latex": to_latex,
}

_LATEX_ARROWS = {"": "", "↓": "$\\downarrow$", "↑": "$\\uparrow$"}
_LATEX_SPECIAL = {
    "\\": "\\textbackslash{}",
    "~": "\\textasciitilde{}",
    "^": "\\textasciicircum{}",
    "<": "\\textless{}",
    ">": "\\textgreater{}",
    **{character: f"\\{character}" for character in "&%$#_{}"},
}


class _Cell(NamedTuple):
    """A number; for a group also `half` its interval, and `n` if not all of its runs have the number."""

    value: float | None
    best: bool
    half: float | None = None
    n: int | None = None


def _rows(table: Comparison) -> list[tuple[str, list[_Cell]]]:
    rows = []
    for place, name in enumerate(table.names):
        cells = list(map(_Cell, table.values[place], table.best[place]))
        if table.spreads:
            size = table.sizes[place]
            cells = [
                cell if spread is None else cell._replace(half=spread.half, n=None if spread.n == size else spread.n)
                for cell, spread in zip(cells, table.spreads[place], strict=True)
            ]
        rows.append((name, cells))
    return rows


def _text(cell: _Cell) -> str:
    half = "" if cell.half is None else f" ± {shown(cell.half)}"
    return f"{shown(cell.value)}{half}{'' if cell.n is None else f' ({cell.n})'}"


def _with_sizes(table: Comparison, rows: list[list[str]]) -> list[list[str]]:
    """For groups, a column with the number of runs after the name; the first row holds the titles."""
    if not table.sizes:
        return rows
    return [[row[0], size, *row[1:]] for row, size in zip(rows, ["n", *map(str, table.sizes)], strict=True)]


def _with_arrows(table: Comparison) -> list[str]:
    return [f"{title} {way}".rstrip() for title, way in zip(table.titles, table.arrows, strict=True)]


def escape_markdown(text: str) -> str:
    r"""Text with the special characters of Markdown, such as `|` or `*`, escaped.

    >>> print(escape_markdown("a|b <i>"))
    a\|b \<i\>
    """
    return re.sub(r"([\\`*_{}\[\]<>|~#&$])", r"\\\1", text)


def escape_latex(text: str) -> str:
    """Text with the special characters of LaTeX escaped.

    >>> print(escape_latex("50%_a&b"))
    50\\%\\_a\\&b
    """
    return "".join(_LATEX_SPECIAL.get(character, character) for character in text)


def _latex_target(way: str) -> str:
    return f"$\\to {way[1:]}$"


def _latex_cell(cell: _Cell) -> str:
    text = _latex_number(cell.value)
    if cell.half is not None:
        text = f"${text.strip('$')} \\pm {_latex_number(cell.half).strip('$')}$"
    if cell.best:
        text = f"\\textbf{{\\boldmath {text}}}" if "$" in text else f"\\textbf{{{text}}}"
    return text if cell.n is None else f"{text} ({cell.n})"


def _latex_number(value: float | None) -> str:
    """A number with a minus sign instead of a hyphen, and its exponent as a power of ten."""
    text = shown(value)
    if value is not None and "e" in text:
        digits, _, exponent = text.partition("e")
        return f"${digits} \\times 10^{{{int(exponent)}}}$"
    return f"$-{text[1:]}$" if value is not None and text.startswith("-") else text
