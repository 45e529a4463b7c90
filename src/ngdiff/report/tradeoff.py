"""The cost of forgetting: Utility against D, or against what is left of the forget set, with the Pareto front."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ngdiff.report import entries
from ngdiff.report.scatter import BEFORE, MODEL, RETRAINED, Mark, pareto, scatter
from ngdiff.report.svg import Chart
from ngdiff.scoring.compare import Comparison
from ngdiff.scoring.over_forgotten import is_of_forgetting
from ngdiff.scoring.quantities import Quantity, arrow, full_title

_SHAPES = {entries.MODEL: MODEL, entries.BEFORE: BEFORE, entries.RETRAINED: RETRAINED}
# Keys of the x axis, of which the first that enough runs have is used; and of the y axis.
_COST = ("distance", "distance_holdout", "forget.rouge_l_recall_unicode", "forget.rouge_l_recall", "forget.accuracy")
_GAIN = ("retain.rouge_l_recall_unicode", "retain.rouge_l_recall", "model_utility", "retain.accuracy", "test.accuracy")
# D of the two models that define its scale.
_BY_DEFINITION = {
    ("distance", entries.BEFORE): 1.0,
    ("distance", entries.RETRAINED): 0.0,
    ("distance_holdout", entries.BEFORE): 1.0,
}


class Tradeoff(NamedTuple):
    """`front`: names of the models that no other one beats. `words`: how to read the chart."""

    chart: Chart
    front: list[str]
    words: str


def tradeoff(table: Comparison, roles: Mapping[str, str]) -> Tradeoff | None:
    """The chart of a comparison; None where fewer than two rows have both numbers.

    The front is that of models alone, not of the models before and retrained. Of what is left of a forget set the
    nearest to the retrained models is best, where there are some; else the least.

    Args:
        table: Of all quantities that may be drawn.
        roles: Of its rows by name.
    """
    along, up = _column(table, _COST), _column(table, _GAIN)
    if along is None or up is None:
        return None
    x, y = table.quantities[along], table.quantities[up]
    rows = []
    for place, name in enumerate(table.names):
        a, b = table.values[place][along], table.values[place][up]
        a = _BY_DEFINITION.get((x.key, roles.get(name, ""))) if a is None else a
        if a is not None and b is not None:
            halves = [table.spreads[place][column] if table.spreads else None for column in (along, up)]
            half = tuple(None if spread is None else spread.half for spread in halves)
            rows.append(Mark(name, (a, b), _SHAPES.get(roles.get(name, ""), MODEL), (half[0], half[1])))
    rivals = [row for row in rows if row.shape == MODEL]
    marks = [row.point[0] for row in rows if row.shape == RETRAINED] if is_of_forgetting(x) else []
    best = pareto([(_badness(x, row.point[0], marks), row.point[1]) for row in rivals])
    front = [rivals[place] for place in best]
    chart = scatter(
        "What forgetting cost",
        rows,
        x_label=f"{full_title(x)} {arrow(x.better)}",
        y_label=f"{full_title(y)} {arrow(y.better)}",
        front=[row.point for row in front],
    )
    if chart is None or len(rows) < 2:
        return None
    nearer = f"nearer to that of the retrained model in {full_title(x)}" if marks else f"lower in {full_title(x)}"
    words = f"No other model is both {nearer} and higher in {full_title(y)} than one of these: "
    return Tradeoff(chart, [row.name for row in front], words)


def _badness(quantity: Quantity, value: float, marks: Sequence[float]) -> float:
    found = quantity.badness(value, marks)
    return value if found is None else found


def _column(table: Comparison, keys: Sequence[str]) -> int | None:
    """The column of the first of the keys that two rows have a number of."""
    for key in keys:
        for column, quantity in enumerate(table.quantities):
            if quantity.key == key and sum(row[column] is not None for row in table.values) > 1:
                return column
    return None
