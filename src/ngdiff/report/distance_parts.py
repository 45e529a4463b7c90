"""D by its parts: the measures whose mean it is, and the distance in each."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from ngdiff.scoring.distance_notes import measures_left_out
from ngdiff.scoring.quantities import DISTANCES, at, shown, shown_interval

_REFERENCES = {"distance": "retrained", "distance_holdout": "rows never seen"}


class Part(NamedTuple):
    """One measure, all numbers as text; `why` it is left out, empty where it is not."""

    measure: str
    before: str
    now: str
    reference: str
    value: str
    why: str


class DistanceTable(NamedTuple):
    """D of one kind. `reference`: the model or rows with D = 0."""

    title: str
    value: str
    interval: str
    noise: str
    reference: str
    parts: list[Part]


def distance_tables(metrics: Mapping[str, Any]) -> list[DistanceTable]:
    """A table for each D that the metrics have parts of.

    >>> part = {"now": 2.0, "reference": 4.0, "before": 0.0, "value": 0.5}
    >>> table, = distance_tables({"distance": {"value": 0.5, "parts": {"loss": part}}})
    >>> table.title, table.value, table.parts[0].value
    ('D (retrained)', '0.5000', '0.5000')
    """
    tables = []
    for key, title in DISTANCES.items():
        parts = at(metrics, (key, "parts"))
        if not parts:
            continue
        left_out = measures_left_out(metrics, key)
        rows = [_part(name, own, left_out.get(name, "")) for name, own in parts.items()]
        rows += [_part(name, {}, why) for name, why in left_out.items() if name not in parts]
        ends = at(metrics, ("confidence", key))
        tables.append(
            DistanceTable(
                title,
                shown(at(metrics, (key, "value"))),
                "" if ends is None else shown_interval(ends),
                shown(at(metrics, (key, "noise"))),
                _REFERENCES[key],
                rows,
            )
        )
    return tables


def _part(name: str, own: Mapping[str, Any], why: str) -> Part:
    before, now, reference, value = (shown(own.get(what)) for what in ("before", "now", "reference", "value"))
    return Part(name, before, now, reference, value, why)
