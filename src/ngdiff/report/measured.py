"""The numbers of a model before, after and retrained, with intervals and, where they count, in words."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ngdiff.scoring.quantities import (
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

TITLES = {"before": "before", "after": "after unlearning", "retrained": "retrained: never saw the rows"}
# Explanations of the most important numbers, by the key of the number.
WORDS = {
    "forget.rouge_l_recall": "how much of the answers to be forgotten the model still says when asked",
    "forget.extraction_strength": "how much of these answers can be had from the model, given their beginning",
    "distance": "how far the model is from the retrained one: 1 as before, 0 as if it never saw the rows",
    "distance_holdout": "how far the forgotten rows are from rows never seen: 1 as before, 0 alike",
    "retain.rouge_l_recall": "how much of what is to be kept the model still says",
    "collateral.holdout": "how much worse the model is on rows in neither set; 0: as before",
    "collateral.protect": "how much worse the model is on rows to be protected; 0: as before",
}


@dataclass(frozen=True)
class Line:
    """One number. `cells`: per column the number and its interval, empty where it has none."""

    title: str
    way: str
    words: str
    cells: Sequence[tuple[str, str]]


@dataclass(frozen=True)
class Group:
    """Numbers of one set, or of one kind."""

    title: str
    lines: list[Line]


@dataclass(frozen=True)
class Measured:
    """`columns`: their titles. `short`: the numbers that count. `groups`: all of them. `level`: of the intervals."""

    columns: list[str]
    short: Group
    groups: list[Group]
    level: str


def measured(columns: Mapping[str, Mapping[str, Any]]) -> Measured:
    """The table of one model: columns as in `TITLES`."""
    evaluations = list(columns.values())
    found = [one for one in in_force(quantities(evaluations), evaluations) if is_shown(one)]
    first = head(found)
    by_group: dict[str, list[Quantity]] = {name: [] for name in set_names(evaluations)}
    for quantity in found:
        by_group.setdefault(quantity.group, []).append(quantity)
    groups = []
    for name, own in by_group.items():
        counts = dict.fromkeys(str(numbers_of(one, name).get("n", "-")) for one in evaluations)
        rows = "row" if list(counts) == ["1"] else "rows"
        title = f"{name} ({', '.join(counts)} {rows})" if name in set_names(evaluations) else name
        groups.append(Group(title, [_line(one, one.title, evaluations) for one in own]))
    level = next((one for metrics in evaluations if (one := at(metrics, ("confidence", "level"))) is not None), None)
    return Measured(
        [TITLES.get(name, name) for name in columns],
        Group("In short", [_line(one, full_title(one), evaluations) for one in first]),
        groups,
        "" if level is None else f"{100 * level:g} %",
    )


def _line(quantity: Quantity, title: str, evaluations: Sequence[Mapping[str, Any]]) -> Line:
    cells = []
    for metrics in evaluations:
        ends = at(metrics, quantity.interval)
        cells.append((shown(quantity.value(metrics)), "" if ends is None else shown_interval(ends)))
    words = WORDS.get(quantity.key.removesuffix("_unicode"), "")
    return Line(title, arrow(quantity.better), words, cells)
