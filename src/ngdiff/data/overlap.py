"""Rows that are in the forget set and in the retain set at once: the two objectives would pull at the same
text."""

from collections.abc import Sequence

from ngdiff.data.rows import Row
from ngdiff.errors import InputError


def check_overlap(forget: Sequence[Row], retain: Sequence[Row], *, drop: bool) -> tuple[list[Row], int]:
    """The rows of `retain` that are not in `forget`, and how many were.

    Two rows are the same if prompt and answer (for conversations: all turns) agree up to white space. Rows
    that occur twice in one set are kept.

    Args:
        forget: the forget set.
        retain: the retain set.
        drop: remove shared rows from `retain` instead of refusing them (`--drop-overlap`).

    Raises:
        InputError: there are shared rows and `drop` is false, or nothing is left of `retain`.

    >>> same, other = Row("Who?", "Orla."), Row("Where?", "Tarnholm.")
    >>> rows, dropped = check_overlap([same], [same, other], drop=True)
    >>> [row.answer for row in rows], dropped
    (['Tarnholm.'], 1)
    """
    origins = {_key(row): row.origin for row in reversed(forget)}
    shared = [row for row in retain if _key(row) in origins]
    if not shared:
        return list(retain), 0
    if not drop:
        raise InputError(
            f"{len(shared)} of {len(retain)} rows of --retain are also in --forget, the first at "
            f"{shared[0].origin or 'an unnamed row'} and {origins[_key(shared[0])] or 'an unnamed row'}; "
            "remove them from one of the two, or pass --drop-overlap to leave them out of --retain."
        )
    kept = [row for row in retain if _key(row) not in origins]
    if not kept:
        raise InputError(f"--drop-overlap: all {len(retain)} rows of --retain are also in --forget; none is left.")
    return kept, len(shared)


def _key(row: Row) -> tuple[str, ...]:
    """Equal for equal rows. A conversation of a single user turn equals the same question and answer."""
    turns = row.messages or ()
    if row.messages is None or (len(turns) == 1 and turns[0]["role"] == "user"):
        return (_squeeze(row.prompt), _squeeze(row.answer))
    before = tuple(part for turn in turns for part in (turn["role"], _squeeze(turn["content"])))
    return (*before, "assistant", _squeeze(row.answer))


def _squeeze(text: str) -> str:
    return " ".join(text.split())
