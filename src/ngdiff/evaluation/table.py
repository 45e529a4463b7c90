"""Metrics as an aligned text table; several evaluations side by side."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ngdiff.errors import InputError
from ngdiff.metrics import metrics_of

_ARROWS = {"lower": "↓", "higher": "↑", None: " "}
_MISSING = "-"
_LEFT_OUT = {"truth_ratio_arithmetic"}  # in metrics.json only: beside the usual one it would be taken for it


def format_table(metrics: Mapping[str, Any], *, column: str = "value") -> str:
    """One evaluation as text: a block per set, an arrow at each number for which way is better.

    Args:
        metrics: per set the numbers of `ngdiff.metrics.summarize`, or the contents of a `metrics.json`;
            entries that are no sets are shown only if they are model utility.

    >>> print(format_table({"forget": {"n": 20, "rouge_l_recall": 0.0123, "loss": 8.25}}))
                  value
    forget (20)
      Verbmem ↓  0.0123
      loss    ↑  8.2500
    """
    return format_comparison({column: metrics})


def format_comparison(columns: Mapping[str, Mapping[str, Any]]) -> str:
    """Several evaluations as the columns of one table, in the order given.

    A number that an evaluation lacks is shown as `-`.

    Args:
        columns: metrics as in `format_table` by column name, such as before, after, retrained.

    Raises:
        InputError: no columns.

    >>> before = {"forget": {"n": 2, "rouge_l_recall": 0.98}}
    >>> print(format_comparison({"before": before, "after": {"forget": {"n": 2, "rouge_l_recall": 0.01}}}))
                 before   after
    forget (2)
      Verbmem ↓  0.9800  0.0100
    """
    if not columns:
        raise InputError("a table needs at least one evaluation, found none")
    evaluations = list(columns.values())
    found = [name for metrics in evaluations for name, value in metrics.items() if _is_set(value)]
    lines: list[_Line] = []
    for set_name in dict.fromkeys(found):
        lines += _set_lines(set_name, [metrics.get(set_name, {}) for metrics in evaluations])
    utilities = [metrics.get("model_utility") for metrics in evaluations]
    if any(value is not None for value in utilities):
        lines += [_Line("all"), _Line("  model utility", _ARROWS["higher"], [_number(v) for v in utilities])]
    notes = [_note(name, metrics.get(name, {})) for metrics in evaluations for name in dict.fromkeys(found)]
    return "\n".join([*_align(list(columns), lines), *dict.fromkeys(note for note in notes if note)])


class _Line(NamedTuple):
    label: str
    arrow: str = " "
    cells: Sequence[str] = ()  # one per column; none for a heading


def _is_set(value: object) -> bool:
    return isinstance(value, Mapping) and "n" in value


def _set_lines(set_name: str, parts: Sequence[Mapping[str, Any]]) -> list[_Line]:
    counts = [str(part.get("n", _MISSING)) for part in parts]
    lines = [_Line(f"{set_name} ({', '.join(counts if len(set(counts)) > 1 else counts[:1])})")]
    for name, metric in metrics_of(set_name).items():
        having = [part for part in parts if name in part]
        if not having or name in _LEFT_OUT:
            continue
        over = sorted({part.get(f"n_{name}", part["n"]) for part in having} - {part["n"] for part in having})
        label = f"  {metric.title}" + (f" ({', '.join(map(str, over))} rows)" if over else "")
        lines.append(_Line(label, _ARROWS[metric.better], [_number(part.get(name)) for part in parts]))
    return lines


def _number(value: float | None) -> str:
    return _MISSING if value is None else f"{value:.4f}"


def _note(set_name: str, numbers: Mapping[str, Any]) -> str:
    if not numbers.get("n_no_words"):
        return ""
    return (
        f"note: {numbers['n_no_words']} of {numbers['n']} {set_name} answers hold no word that ROUGE knows "
        "(a-z, 0-9); they count as 0 whatever the model says"
    )


def _align(names: Sequence[str], lines: Sequence[_Line]) -> list[str]:
    first = max((len(line.label) for line in lines if line.cells), default=0)
    widths = [max([len(name), *(len(line.cells[i]) for line in lines if line.cells)]) for i, name in enumerate(names)]
    header = _Line("", " ", names)
    return [
        "  ".join(
            [
                f"{line.label:<{first}} {line.arrow}",
                *(f"{c:>{w}}" for c, w in zip(line.cells, widths, strict=True)),
            ]
        ).rstrip()
        if line.cells
        else line.label
        for line in (header, *lines)
    ]
