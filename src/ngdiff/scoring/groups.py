"""Runs that differ only by their seed, as one row: mean, t-interval and number of runs."""

import math
import re
from collections.abc import Mapping, Sequence
from typing import Any

from ngdiff.metrics import CONFIDENCE
from ngdiff.scoring.compare import Comparison, Spread, compare
from ngdiff.scoring.quantities import Metrics, Quantity, at, quantities, set_names

_SEED = re.compile(r"(?P<before>^|[-_,.:;/@ ]+)seed[-_= ]?\d+(?P<after>$|(?=[-_,.:;/@ ]))", re.IGNORECASE)
_ALL = "all seeds"  # for runs whose name is only a seed


def group_of(name: str) -> str:
    """The name of a run without its seed.

    >>> [group_of(name) for name in ("method=gd,seed=0", "npo_seed12", "seed-3/npo", "npo-seed1@2", "seed=0", "seeded")]
    ['method=gd', 'npo', 'npo', 'npo@2', 'all seeds', 'seeded']
    """
    rest = _SEED.sub("", name)
    return rest.strip("-_,.:;/ ") if rest != name and rest else _ALL if rest != name else name


def mean_interval(values: Sequence[float], confidence: float = CONFIDENCE) -> tuple[float, float | None]:
    """The mean of n values and half the length of its t-interval, `t(n-1) s / sqrt(n)`; None for one value.

    `s` is the sample standard deviation (n - 1), t the quantile at (1 + confidence) / 2. The interval assumes normally
    distributed values, as means over many rows approximately are.

    >>> mean, half = mean_interval([1.0, 2.0, 3.0])
    >>> mean, round(half, 4)
    (2.0, 2.4841)
    """
    n = len(values)
    mean = math.fsum(values) / n
    if n < 2:
        return mean, None
    deviation = math.sqrt(math.fsum((value - mean) ** 2 for value in values) / (n - 1))
    from scipy import stats  # takes half a second

    return mean, float(stats.t.ppf((1 + confidence) / 2, n - 1)) * deviation / math.sqrt(n)


def compare_groups(
    runs: Mapping[str, Metrics],
    *,
    metrics: Sequence[str] | None = None,
    references: Sequence[str] = (),
    confidence: float = CONFIDENCE,
) -> Comparison:
    """`compare` with one row for all runs whose names differ only by their seed.

    The means decide what is best, nearest or over-forgotten. The intervals in the notes are over seeds, or for a single
    run over rows.

    Args:
        runs: Contents of `metrics.json` by name.
        metrics: Keys of the columns, as in `compare`.
        references: Retrained models, runs or groups that are never marked as best.
        confidence: Level of the t-intervals.

    Raises:
        InputError: as `compare`.
    """
    groups: dict[str, list[Metrics]] = {}
    for name, own in runs.items():
        groups.setdefault(group_of(name), []).append(own)
    found = quantities(list(runs.values()))
    means = {name: own[0] if len(own) == 1 else _mean(own, found, confidence) for name, own in groups.items()}
    marks = list(dict.fromkeys(group_of(name) if name in runs else name for name in references))
    table = compare(means, metrics=metrics, references=marks)
    spreads = [[_spread(quantity, own, confidence) for quantity in table.quantities] for own in groups.values()]
    notes = list(table.notes)
    if any(spread is not None and spread.half is not None for row in spreads for spread in row):
        notes.insert(0, f"note: means over n seeds, ± half of their {100 * confidence:g} % t-interval")
    return table._replace(spreads=spreads, sizes=[len(own) for own in groups.values()], notes=notes)


def _values(quantity: Quantity, runs: Sequence[Metrics]) -> list[float]:
    return [value for metrics in runs if (value := quantity.value(metrics)) is not None]


def _spread(quantity: Quantity, runs: Sequence[Metrics], confidence: float) -> Spread | None:
    values = _values(quantity, runs)
    return Spread(mean_interval(values, confidence)[1], len(values)) if values else None


def _mean(runs: Sequence[Metrics], found: Sequence[Quantity], confidence: float) -> dict[str, Any]:
    """Metrics of a group: means with t-intervals, and numbers of rows if all runs agree on them."""
    made: dict[str, Any] = {}
    for name in set_names(runs):
        counts = {at(metrics, (name, "n")) for metrics in runs} - {None}
        _put(made, (name, "n"), counts.pop() if len(counts) == 1 else None)
    for quantity in found:
        if not (values := _values(quantity, runs)):
            continue
        mean, half = mean_interval(values, confidence)
        _put(made, quantity.path, mean)
        if quantity.interval and half is not None:
            _put(made, quantity.interval, [mean - half, mean + half])
    if "confidence" in made:
        made["confidence"]["level"] = confidence
    for key in ("distance", "distance_holdout"):  # the measures of a D
        if key in made and (left_out := at(runs[0], (key, "left_out"))) is not None:
            made[key]["left_out"] = left_out
    return made


def _put(made: dict[str, Any], path: Sequence[str], value: Any) -> None:
    for key in path[:-1]:
        made = made.setdefault(key, {})
    made[path[-1]] = value
