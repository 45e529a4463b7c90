"""Methods against metrics in one table, and which method is best at what."""

import difflib
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from ngdiff.errors import InputError
from ngdiff.metrics import UNICODE
from ngdiff.scoring.quantities import ABILITIES, Quantity, in_force, is_shown, quantities, shown

# What a table shows unasked, as far as the runs have it: the numbers of the field's own tables.
HEADLINE = (
    "forget.rouge_l_recall",
    "retain.rouge_l_recall",
    "forget.truth_ratio",
    "model_utility",
    "forget_quality",
    "muse_verbmem.rouge_l_f",
    "muse_knowmem_forget.rouge_l_f",
    "muse_knowmem_retain.rouge_l_f",
    "privleak",
    "forget.extraction_strength",
    "membership.min-20%",
    "forget.accuracy",
    "retain.accuracy",
    "test.accuracy",
)


class Comparison(NamedTuple):
    """A table: one row per name, one column per quantity.

    `values[row][column]` is None where a run lacks the number; `best[row][column]` marks the best of a column.
    `titles` are unique.
    """

    names: list[str]
    quantities: list[Quantity]
    titles: list[str]
    values: list[list[float | None]]
    best: list[list[bool]]


def compare(
    runs: Mapping[str, Mapping[str, Any]], *, metrics: Sequence[str] | None = None, reference: str | None = None
) -> Comparison:
    """The table of several evaluations.

    The best of a column is the lowest, the highest, or the nearest to a mark, whichever the metric says, among the
    numbers **as they are shown**: numbers that look alike are all best. No number is best in a column without a
    direction, or where fewer than two runs have one.

    Args:
        runs: contents of `metrics.json` by name.
        metrics: keys of the columns, such as `forget.loss`; "all" is every number; None: those of `HEADLINE`, or
            all where no run has one of these.
        reference: a run that is never best, such as a retrained model.

    Raises:
        InputError: no runs; a key or a reference that is not there; an entry that is no number.
    """
    if not runs:
        raise InputError("a comparison needs at least one run, found none")
    if reference is not None and reference not in runs:
        raise InputError(f"the reference {reference!r} is not among the runs; one of {', '.join(runs)}")
    evaluations = list(runs.values())
    chosen = _choose(quantities(evaluations), metrics, evaluations)
    values = [[quantity.value(evaluation) for quantity in chosen] for evaluation in evaluations]
    rivals = [name != reference for name in runs]
    columns = [
        _best(quantity, [row[i] if rival else None for row, rival in zip(values, rivals, strict=True)])
        for i, quantity in enumerate(chosen)
    ]
    best = [[column[row] for column in columns] for row in range(len(runs))]
    return Comparison(list(runs), chosen, _titles(chosen), values, best)


def _choose(
    found: Sequence[Quantity], keys: Sequence[str] | None, evaluations: Sequence[Mapping[str, Any]]
) -> list[Quantity]:
    by_key = {quantity.key: quantity for quantity in found}
    usual = {quantity.key for quantity in in_force(found, evaluations)}
    if keys is None:
        keys = [key for name in HEADLINE for key in (name, name + UNICODE) if key in usual] or ["all"]
    chosen: dict[str, Quantity] = {}
    for key in keys:
        if key == "all":
            chosen.update({name: by_key[name] for name in by_key if name in usual and _is_asked_for(by_key[name])})
        elif key in by_key:
            chosen[key] = by_key[key]
        else:
            close = difflib.get_close_matches(key, by_key, n=1)
            hint = f"did you mean {close[0]}?" if close else f"they have {', '.join(by_key)}"
            raise InputError(f"metric {key!r} is in none of the runs; {hint}")
    return list(chosen.values())


def _is_asked_for(quantity: Quantity) -> bool:
    return is_shown(quantity) or quantity.group == ABILITIES


def _best(quantity: Quantity, column: Sequence[float | None]) -> list[bool]:
    ranks = [None if value is None else quantity.badness(float(shown(value))) for value in column]
    known = [rank for rank in ranks if rank is not None]
    return [len(known) > 1 and rank == min(known) for rank in ranks]


def _titles(chosen: Sequence[Quantity]) -> list[str]:
    """Titles; with the set where several columns would have the same."""
    times = Counter(quantity.title for quantity in chosen)
    return [f"{one.title} ({one.group})" if times[one.title] > 1 else one.title for one in chosen]
