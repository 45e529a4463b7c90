"""No row may be in two sets of one command."""

import logging
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from ngdiff.data import Row, Template, check_overlap, rows_in_both
from ngdiff.plurals import some_of, verb

logger = logging.getLogger(__name__)

# No row of the second set may be in the first; `--drop-overlap` removes it from the second.
_PAIRS = (("forget", "retain"), ("forget", "holdout"), ("retain", "holdout"), ("forget", "protect"))

# Sets in which a protected row should not be, and what a warning says of so many that are.
_NOT_PROTECTED: dict[str, Callable[[int], str]] = {
    "retain": lambda count: f", which keeps {verb(count, 'it', 'them')} already: --protect is for rows in neither set",
    "holdout": lambda _: ": rows that a run protects say nothing about rows never seen",
}


def without_overlap(
    sets: Mapping[str, Sequence[Row]],
    tokenizer: Any,
    template: Template,
    *,
    drop: bool,
    published: Mapping[str, Sequence[Row]] | None = None,
) -> dict[str, list[Row]]:
    """The sets, checked against each other in the form that the model gets.

    Protected rows that are in the retain or the holdout set, too, are no fault; a warning counts them.

    Args:
        sets: Rows by name: forget, retain, holdout, protect, as far as they were given.
        tokenizer: That of the model.
        template: How questions are put.
        drop: `--drop-overlap`: leave rows of the forget set out of the others, and of the retain set out of the
            holdout.
        published: Sets of a benchmark, which stay as they are; `sets` are checked against those of these names, too.

    Raises:
        InputError: rows that are in two sets where `drop` is false, or a set of which nothing is left.
    """
    kept = {name: list(rows) for name, rows in sets.items()}
    given = {**(published or {}), **kept}
    for first, second in _PAIRS:
        if first not in given or second not in kept:
            continue
        rows = len(kept[second])
        place = f"--{first}" if first in kept else f"the benchmark's {first} set"
        kept[second], dropped = check_overlap(
            kept.get(first, given[first]),
            kept[second],
            drop=drop,
            tokenizer=tokenizer,
            template=template,
            names=(place, f"--{second}"),
        )
        if drop and (dropped or second == "retain"):
            logger.info(
                "--drop-overlap: %s of --%s %s left out%s",
                some_of(dropped, rows, "row"),
                second,
                verb(dropped),
                "" if second == "retain" else f", as {verb(dropped, 'it is', 'they are')} in {place}",
            )
    for other, why in _NOT_PROTECTED.items():
        if other not in kept or "protect" not in kept:
            continue
        shared = rows_in_both(
            kept[other], kept["protect"], tokenizer=tokenizer, template=template, names=(f"--{other}", "--protect")
        )
        if shared:
            found = some_of(shared, len(kept["protect"]), "row")
            logger.warning("%s of --protect %s also in --%s%s.", found, verb(shared), other, why(shared))
    return kept
