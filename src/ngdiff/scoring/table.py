"""Metrics as an aligned text table; several evaluations side by side."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ngdiff.errors import InputError
from ngdiff.scoring.notes import row_notes
from ngdiff.scoring.quantities import (
    NEVER_SEEN,
    Quantity,
    arrow,
    at,
    full_title,
    head,
    in_force,
    is_shown,
    numbers_of,
    quantities,
    set_names,
    shown,
    shown_interval,
)


def format_table(metrics: Mapping[str, Any], *, column: str = "value") -> str:
    """One evaluation as text: the headline numbers, then a block for each set; arrows show which direction is better.

    Args:
        metrics: By set, what `ngdiff.metrics.summarize` returned, or the contents of a `metrics.json`.

    >>> print(format_table({"forget": {"n": 20, "rouge_l_recall": 0.0123, "loss": 8.25}}))
                  value
    forget (20)
      Verbmem ↓  0.0123
      loss    ↑  8.2500
    """
    return format_comparison({column: metrics})


def format_comparison(columns: Mapping[str, Mapping[str, Any]]) -> str:
    """Several evaluations as the columns of one table, in the order given.

    A number that an evaluation lacks is shown as `-`. Confidence intervals have a column of their own. An arrow to a
    number means that values nearer to it are better.

    Args:
        columns: Metrics as in `format_table` by column name, such as before, after, retrained.

    Raises:
        InputError: no columns, or an entry that is not a number.

    >>> before = {"forget": {"n": 2, "rouge_l_recall": 0.98}}
    >>> print(format_comparison({"before": before, "after": {"forget": {"n": 2, "rouge_l_recall": 0.01}}}))
                 before   after
    forget (2)
      Verbmem ↓  0.9800  0.0100
    """
    if not columns:
        raise InputError("a table needs at least one evaluation, found none")
    evaluations = list(columns.values())
    sets = set_names(evaluations)
    by_group: dict[str, list[Quantity]] = {name: [] for name in sets}
    for quantity in filter(is_shown, in_force(quantities(evaluations), evaluations)):
        by_group.setdefault(quantity.group, []).append(quantity)
    lines = _head(evaluations)
    if lines:
        by_group.pop(NEVER_SEEN, None)  # the head contains all of it
    for group, own in by_group.items():
        lines.append(_heading(group, evaluations) if group in sets else _Line(group))
        lines += [_line(quantity, evaluations) for quantity in own]
    notes = [note for metrics in evaluations for name in sets for note in row_notes(name, numbers_of(metrics, name))]
    notes += [_retrained_note(metrics) for metrics in evaluations]
    return "\n".join([*_align(_names(columns), lines), *dict.fromkeys(note for note in notes if note)])


class _Line(NamedTuple):
    label: str
    arrow: str = ""
    cells: Sequence[str] = ()  # one for each column; empty for a heading


def _head(evaluations: Sequence[Mapping[str, Any]]) -> list[_Line]:
    """The headline numbers; none if all are of one set, whose block follows anyway."""
    own = head(in_force(quantities(evaluations), evaluations))
    if len({quantity.group for quantity in own}) < 2:
        return []
    return [
        _Line("in short"),
        *(_line(quantity._replace(title=full_title(quantity)), evaluations, counted=False) for quantity in own),
    ]


def _names(columns: Mapping[str, Mapping[str, Any]]) -> list[str]:
    names = []
    for name, metrics in columns.items():
        names.append(name)
        if (level := at(metrics, ("confidence", "level"))) is not None:
            names.append(f"{100 * level:g} % interval")
    return names


def _heading(set_name: str, evaluations: Sequence[Mapping[str, Any]]) -> _Line:
    counts = [str(numbers_of(metrics, set_name).get("n", "-")) for metrics in evaluations]
    return _Line(f"{set_name} ({', '.join(counts if len(set(counts)) > 1 else counts[:1])})")


def _line(quantity: Quantity, evaluations: Sequence[Mapping[str, Any]], *, counted: bool = True) -> _Line:
    """One quantity of all evaluations; if `counted`, with its number of rows unless that is the whole set."""
    cells, over = [], set()
    for metrics in evaluations:
        value = quantity.value(metrics)
        cells.append(shown(value))
        if at(metrics, ("confidence", "level")) is not None:
            cells.append(shown_interval(at(metrics, quantity.interval)))
        own = numbers_of(metrics, quantity.group)
        if counted and value is not None and "n" in own:
            over.add(own.get(f"n_{quantity.path[-1]}", own["n"]))
    over -= {
        numbers_of(metrics, quantity.group).get("n") for metrics in evaluations if quantity.value(metrics) is not None
    }
    label = f"  {quantity.title}" + (f" ({', '.join(map(str, sorted(over)))} rows)" if over else "")
    return _Line(label, arrow(quantity.better), cells)


def _retrained_note(metrics: Mapping[str, Any]) -> str:
    source = at(metrics, ("privleak_retrained", "source"))
    if metrics.get("privleak") is None or source in (None, "records"):
        return ""
    return f"note: PrivLeak is relative to the model that MUSE retrained ({source}); other models need --retrained"


def _align(names: Sequence[str], lines: Sequence[_Line]) -> list[str]:
    first = max((len(line.label) for line in lines if line.cells), default=0)
    second = max((len(line.arrow) for line in lines), default=0) or 1
    widths = [max([len(name), *(len(line.cells[i]) for line in lines if line.cells)]) for i, name in enumerate(names)]
    return [
        "  ".join(
            [
                f"{line.label:<{first}} {line.arrow:<{second}}",
                *(f"{c:>{w}}" for c, w in zip(line.cells, widths, strict=True)),
            ]
        ).rstrip()
        if line.cells
        else line.label
        for line in (_Line("", "", names), *lines)
    ]
