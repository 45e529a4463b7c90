"""A table of runs and metrics, with the best run for each metric."""

import difflib
from collections import Counter
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from ngdiff.errors import InputError
from ngdiff.metrics import UNICODE
from ngdiff.metrics.worst import COUNT, MAX
from ngdiff.scoring.distance_notes import nearest_notes
from ngdiff.scoring.over_forgotten import Beyond, is_of_forgetting, over_forgotten, over_forgotten_notes
from ngdiff.scoring.quantities import (
    ABILITIES,
    ALIASES,
    DISTANCES,
    Quantity,
    arrow,
    at,
    head,
    in_force,
    is_shown,
    quantities,
    set_names,
    shown,
)
from ngdiff.scoring.reference_notes import reference_notes

# Default columns after `HEAD`, where the runs have them: the metrics of the tables in the literature.
HEADLINE = (
    "forget.rouge_l_recall",
    "forget.extraction_strength",
    "forget.truth_ratio",
    "model_utility",
    "forget_quality",
    "muse_verbmem.rouge_l_f",
    "muse_knowmem_forget.rouge_l_f",
    "muse_knowmem_retain.rouge_l_f",
    "privleak",
    "membership.min-20%",
    "forget.accuracy",
    "retain.accuracy",
    "test.accuracy",
)


class Spread(NamedTuple):
    """The spread of a mean over n runs: `half` the length of its t-interval; None for a single run."""

    half: float | None
    n: int


class Comparison(NamedTuple):
    """A table: one row for each run, one column for each quantity.

    `values[row][column]` is None if a run lacks the number; `best[row][column]` marks the best of a column. `titles`
    are unique. `arrows`: the better direction, as in `ngdiff.scoring.quantities.arrow`. `over[row]`: the numbers of the
    run beyond those of the references (`over_forgotten`); empty without references. `notes`: lines below the table.
    For groups of runs, whose values are means: `spreads[row][column]`, and `sizes[row]`, the number of runs.
    """

    names: list[str]
    quantities: list[Quantity]
    titles: list[str]
    values: list[list[float | None]]
    best: list[list[bool]]
    arrows: list[str]
    over: list[list[Beyond]]
    notes: list[str]
    spreads: Sequence[Sequence[Spread | None]] = ()
    sizes: Sequence[int] = ()


def compare(
    runs: Mapping[str, Mapping[str, Any]], *, metrics: Sequence[str] | None = None, references: Sequence[str] = ()
) -> Comparison:
    """The table of several evaluations.

    The best of a column is the lowest or highest value, or the nearest to a target, depending on the metric. The values
    **as displayed** are compared: those that look equal are all best. No value is best in a column without a direction,
    or if fewer than two runs have one.

    For metrics of forget sets, the best value is the nearest to those of the references, models that never saw the
    forget set (to their range, if there are several): a lower value is no better. Without references, none is best.

    Args:
        runs: Contents of `metrics.json` by name.
        metrics: Keys of the columns, such as `forget.loss`, or short names (`ALIASES`); "all" for every number; None
            for those of `HEAD` and `HEADLINE`, or all if no run has any of these.
        references: Retrained models, which are never marked as best.

    Raises:
        InputError: no runs, an unknown key or reference, or an entry that is not a number.
    """
    if not runs:
        raise InputError("a comparison needs at least one run, found none")
    for reference in references:
        if reference not in runs:
            raise InputError(f"the reference {reference!r} is not among the runs; one of {', '.join(runs)}")
    evaluations = list(runs.values())
    chosen = _choose(quantities(evaluations), metrics, evaluations)
    values = [[quantity.value(evaluation) for quantity in chosen] for evaluation in evaluations]
    rivals = [name not in references for name in runs]
    marks = [_marks(quantity, [runs[name] for name in references]) for quantity in chosen]
    columns = [
        _best(quantity, [row[i] if rival else None for row, rival in zip(values, rivals, strict=True)], marks[i])
        for i, quantity in enumerate(chosen)
    ]
    best = [[column[row] for column in columns] for row in range(len(runs))]
    others = {name: runs[name] for name in references}
    over = [over_forgotten(one, list(others.values())) if rivals[i] else [] for i, one in enumerate(evaluations)]
    over = over if references else []
    compared = {name: one for name, one in runs.items() if name not in references}
    notes = over_forgotten_notes(compared, others) + reference_notes(compared, others)
    if not references and len(runs) > 1 and any(map(is_of_forgetting, chosen)):
        notes.append(
            "note: without a --reference, a model that never saw the forget set, no value of a forget set is best: "
            "lower than that of such a model is no better"
        )
    notes += nearest_notes(compared)
    if references and not any(at(one, (key, "value")) is not None for one in evaluations for key in DISTANCES):
        notes.append(
            "note: no D; ngdiff score RUN --retrained RUN --before RUN --output FILE adds it to a metrics.json"
        )
    notes += _unequal_rows(runs, {quantity.group for quantity in chosen})
    arrows = [_arrow(quantity, mark) for quantity, mark in zip(chosen, marks, strict=True)]
    return Comparison(list(runs), chosen, _titles(chosen), values, best, arrows, over, notes)


def _marks(quantity: Quantity, references: Sequence[Mapping[str, Any]]) -> list[float] | None:
    """The values of the references, which are the target for a metric of a forget set; None for other metrics."""
    if not is_of_forgetting(quantity):
        return None
    found = [quantity.value(reference) for reference in references]
    return [float(shown(value)) for value in found if value is not None]


def _arrow(quantity: Quantity, marks: Sequence[float] | None) -> str:
    if not marks:
        return arrow(quantity.better)
    least, most = (f"{value:.4g}" for value in (min(marks), max(marks)))
    return f"→{least}" if least == most else f"→{least}..{most}"


def _unequal_rows(runs: Mapping[str, Mapping[str, Any]], groups: Collection[str]) -> list[str]:
    """Notes on sets whose numbers of rows differ between runs."""
    notes = []
    for name in set_names(list(runs.values())):
        counts = {run: at(metrics, (name, "n")) for run, metrics in runs.items()}
        known = {run: count for run, count in counts.items() if count is not None}
        if name in groups and len(set(known.values())) > 1:
            listed = ", ".join(f"{count} in {run}" for run, count in known.items())
            notes.append(f"note: {name} has different rows in different runs ({listed}): its values are not comparable")
    return notes


def _choose(
    found: Sequence[Quantity], keys: Sequence[str] | None, evaluations: Sequence[Mapping[str, Any]]
) -> list[Quantity]:
    by_key = {quantity.key: quantity for quantity in found}
    usual = {quantity.key for quantity in in_force(found, evaluations)}
    if keys is None:
        first = [quantity.key for quantity in head([one for one in found if one.key in usual])]
        keys = first + [key for name in HEADLINE for key in _forms(name) if key in usual] or ["all"]
    chosen: dict[str, Quantity] = {}
    for key in keys:
        if key == "all":
            chosen.update({name: by_key[name] for name in by_key if name in usual and _is_asked_for(by_key[name])})
        elif forms := [name for name in _named(key) if name in usual]:
            chosen.update({name: by_key[name] for name in forms})
        elif key in by_key:
            chosen[key] = by_key[key]
        else:
            known = [*by_key, *(name for name in ALIASES if any(own in usual for own in _named(name)))]
            close = difflib.get_close_matches(key, known, n=1)
            hint = f"did you mean {close[0]}?" if close else f"they have {', '.join(known)}"
            raise InputError(f"metric {key!r} is in none of the runs; {hint}")
    return list(chosen.values())


def _named(key: str) -> list[str]:
    """The keys of a metric with a short name, and of its variant over Unicode words; none for other keys."""
    own = ALIASES.get(key)
    return [] if own is None else [own, own + UNICODE]


def _forms(key: str) -> Iterator[str]:
    """The keys of a metric, of its variant over Unicode words, and of the worst rows of each."""
    for one in (key, key + UNICODE):
        yield from (one, one + MAX, one + COUNT)


def _is_asked_for(quantity: Quantity) -> bool:
    return is_shown(quantity) or quantity.group == ABILITIES


def _best(quantity: Quantity, column: Sequence[float | None], marks: Sequence[float] | None) -> list[bool]:
    if marks is not None and not marks:
        return [False] * len(column)
    ranks = [None if value is None else quantity.badness(float(shown(value)), marks or ()) for value in column]
    known = [rank for rank in ranks if rank is not None]
    return [len(known) > 1 and rank == min(known) for rank in ranks]


def _titles(chosen: Sequence[Quantity]) -> list[str]:
    """Titles, followed by the set if several columns would have the same title."""
    times = Counter(quantity.title for quantity in chosen)
    return [f"{one.title} ({one.group})" if times[one.title] > 1 else one.title for one in chosen]
