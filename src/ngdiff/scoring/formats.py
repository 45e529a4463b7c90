"""A comparison as text, Markdown, CSV and LaTeX."""

import csv
import io
import re
from collections.abc import Callable, Sequence

from ngdiff.scoring.compare import Comparison
from ngdiff.scoring.quantities import shown


def to_text(table: Comparison) -> str:
    """Aligned columns; the best of each has a `*`."""
    marked = any(map(any, table.best))
    rows = [["", *_with_arrows(table)]] + [
        [name, *(f"{shown(value)}{'*' if best else ' ' if marked else ''}" for value, best in cells)]
        for name, cells in _rows(table)
    ]
    if marked:  # the titles end where the digits do
        rows[0][1:] = [f"{title} " for title in rows[0][1:]]
    widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
    lines = ["  ".join([f"{r[0]:<{widths[0]}}", *map(str.rjust, r[1:], widths[1:])]).rstrip() for r in rows]
    return "\n".join([*lines, *(["* best of its column"] if marked else []), *table.notes]) + "\n"


def to_markdown(table: Comparison) -> str:
    """A table of GitHub's Markdown; the best of each column is bold. Notes follow it."""
    titles = [escape_markdown(title) for title in _with_arrows(table)]
    rows = [["method", *titles], [":--", *["--:"] * len(titles)]]
    for name, cells in _rows(table):
        numbers = [f"**{shown(value)}**" if best else shown(value) for value, best in cells]
        rows.append([escape_markdown(name), *numbers])
    notes = "".join(f"\n{escape_markdown(note)}\n" for note in table.notes)
    return "".join(f"| {' | '.join(row)} |\n" for row in rows) + notes


def to_csv(table: Comparison) -> str:
    """Comma-separated; columns are called by their keys, numbers are complete, a missing one is `-`.

    With references a last column, `over_forgotten`, has the keys of the numbers that are beyond theirs, apart by
    spaces; `-` for none.
    """
    file = io.StringIO()
    writer = csv.writer(file, lineterminator="\n")
    beyond = [" ".join(one.quantity.key for one in own) or "-" for own in table.over]
    writer.writerow(
        ["method", *(quantity.key for quantity in table.quantities), *(["over_forgotten"] if beyond else [])]
    )
    for row, (name, cells) in enumerate(_rows(table)):
        writer.writerow([name, *("-" if value is None else repr(value) for value, _ in cells), *beyond[row : row + 1]])
    return file.getvalue()


def to_latex(table: Comparison) -> str:
    """A `tabular` with the rules of the package booktabs; the best of each column is bold. Notes are comments."""
    arrows = [_LATEX_ARROWS.get(way, _latex_target(way)) for way in table.ways]
    titles = [f"{_latex(title)} {way}".rstrip() for title, way in zip(table.titles, arrows, strict=True)]
    lines = [
        "% needs \\usepackage{booktabs}",
        f"\\begin{{tabular}}{{l{'r' * len(titles)}}}",
        "\\toprule",
        f"{' & '.join(['method', *titles])} \\\\",
        "\\midrule",
    ]
    for name, cells in _rows(table):
        numbers = [_latex_number(value, bold=best) for value, best in cells]
        lines.append(f"{' & '.join([_latex(name), *numbers])} \\\\")
    notes = [f"% {note}" for note in table.notes]
    return "\n".join([*lines, "\\bottomrule", "\\end{tabular}", *notes]) + "\n"


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


def _rows(table: Comparison) -> list[tuple[str, Sequence[tuple[float | None, bool]]]]:
    return [
        (name, list(zip(values, best, strict=True)))
        for name, values, best in zip(table.names, table.values, table.best, strict=True)
    ]


def _with_arrows(table: Comparison) -> list[str]:
    return [f"{title} {way}".rstrip() for title, way in zip(table.titles, table.ways, strict=True)]


def escape_markdown(text: str) -> str:
    r"""Text without anything that Markdown would act on, a `|` or a `*` say.

    >>> print(escape_markdown("a|b <i>"))
    a\|b \<i\>
    """
    return re.sub(r"([\\`*_{}\[\]<>|~#&$])", r"\\\1", text)


def _latex(text: str) -> str:
    """Text without anything that LaTeX would act on.

    >>> print(_latex("50%_a&b"))
    50\\%\\_a\\&b
    """
    return "".join(_LATEX_SPECIAL.get(character, character) for character in text)


def _latex_target(way: str) -> str:
    return f"$\\to {way[1:]}$"


def _latex_number(value: float | None, *, bold: bool) -> str:
    """A number with a minus that is one, and its exponent raised."""
    text = shown(value)
    if value is not None and "e" in text:
        digits, _, exponent = text.partition("e")
        text = f"${digits} \\times 10^{{{int(exponent)}}}$"
    elif value is not None and text.startswith("-"):
        text = f"$-{text[1:]}$"
    if not bold:
        return text
    return f"\\textbf{{\\boldmath {text}}}" if "$" in text else f"\\textbf{{{text}}}"
