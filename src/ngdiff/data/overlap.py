"""Overlap of sets: a row in both forget and retain set would be trained in opposite directions, and a holdout must not
contain rows that the model saw.

Two rows are the same if prompt and answer (for conversations: all turns) agree up to white space, or if their tokens
agree, whatever their columns: a question and its answer, the same as prompt and completion, and the whole as plain text
are one row. Begin and end tokens are ignored.
"""

import hashlib
import json
from array import array
from collections.abc import Iterator, Mapping, Sequence
from itertools import chain
from typing import Any

from ngdiff.data.encode import encode_whole
from ngdiff.data.progress import with_bar
from ngdiff.data.rows import Row
from ngdiff.data.template import Template
from ngdiff.errors import InputError
from ngdiff.plurals import some_of, verb


def check_overlap(
    forget: Sequence[Row],
    retain: Sequence[Row],
    *,
    drop: bool,
    tokenizer: Any = None,
    template: Template | None = None,
    names: tuple[str, str] = ("--forget", "--retain"),
) -> tuple[list[Row], int]:
    """The rows of `retain` that are not in `forget`, and how many were. Rows that occur twice in one set are kept.

    Args:
        forget: The forget set.
        retain: The retain set.
        drop: Remove shared rows from `retain` instead of refusing them (`--drop-overlap`).
        tokenizer, template: To compare tokens; without them, only texts are compared.
        names: Names of the two sets in messages.

    Raises:
        InputError: there are shared rows and `drop` is false, or nothing is left of `retain`.

    >>> same, other = Row("Where was Orla born?", "Tarnholm."), Row("Where was Bran born?", "Selna.")
    >>> rows, dropped = check_overlap([same], [same, other], drop=True)
    >>> [row.answer for row in rows], dropped
    (['Selna.'], 1)
    """
    first, second = names
    same = _same_rows(forget, retain, tokenizer, template, names)
    shared = [(row, place) for row, place in zip(retain, same, strict=True) if place is not None]
    if not shared:
        return list(retain), 0
    if not drop:
        row, place = shared[0]
        count = len(shared)
        raise InputError(
            f"{some_of(count, len(retain), 'row')} of {second} {verb(count)} also in {first}, "
            f"{verb(count, 'at', 'the first at')} {row.origin or 'an unnamed row'} and "
            f"{place or 'an unnamed row'}; remove {verb(count, 'it', 'them')} from one of the two, or pass "
            f"--drop-overlap to leave {verb(count, 'it', 'them')} out of {second}."
        )
    kept = [row for row, place in zip(retain, same, strict=True) if place is None]
    if not kept:
        every = verb(len(retain), f"the only row of {second} is", f"all {len(retain)} rows of {second} are")
        raise InputError(f"--drop-overlap: {every} also in {first}; none is left.")
    return kept, len(shared)


def rows_in_both(
    first: Sequence[Row],
    second: Sequence[Row],
    *,
    tokenizer: Any = None,
    template: Template | None = None,
    names: tuple[str, str] = ("one set", "another"),
) -> int:
    """How many rows of `second` are also in `first`.

    Args:
        first, second: The sets.
        tokenizer, template: To compare tokens; without them, only texts are compared.
        names: Names of the two sets, beside a progress bar.

    >>> same, other = Row("Where was Orla born?", "Tarnholm."), Row("Where was Bran born?", "Selna.")
    >>> rows_in_both([same], [same, other])
    1
    """
    return sum(place is not None for place in _same_rows(first, second, tokenizer, template, names))


def check_encoded_overlap(forget: Sequence[Mapping[str, Any]], retain: Sequence[Mapping[str, Any]]) -> None:
    """The same for encoded rows: no row of `retain` may have the tokens of a row of `forget`.

    Raises:
        InputError: there are shared rows.
    """
    places: dict[bytes, int] = {}
    for place, row in enumerate(forget):
        places.setdefault(_packed(row["input_ids"]), place)
    found = [places.get(_packed(row["input_ids"])) for row in retain]
    shared = [(place, other) for place, other in enumerate(found) if other is not None]
    if shared:
        place, other = shared[0]
        count = len(shared)
        raise InputError(
            f"{some_of(count, len(retain), 'encoded row')} of --retain {verb(count)} also in --forget, "
            f"{verb(count, 'rows', 'the first rows')} {place} and {other} (from 0); remove "
            f"{verb(count, 'it', 'them')} from one of the two."
        )


def _same_rows(
    first: Sequence[Row], second: Sequence[Row], tokenizer: Any, template: Template | None, names: tuple[str, str]
) -> list[str | None]:
    """For each row of `second` the origin of the same row of `first`, or None where there is none."""
    origins: dict[bytes, str] = {}
    both = chain(_keys(first, tokenizer, template), _keys(second, tokenizer, template))
    keys_of_rows = iter(with_bar(both, f"comparing {names[0]} with {names[1]}", total=len(first) + len(second)))
    for row in first:
        for key in next(keys_of_rows):
            origins.setdefault(key, row.origin)
    return [next((origins[key] for key in keys if key in origins), None) for keys in keys_of_rows]


def _keys(rows: Sequence[Row], tokenizer: Any, template: Template | None) -> Iterator[list[bytes]]:
    """Keys of each row; two rows are the same if they share a key. Hashes, as the rows may be many."""
    if tokenizer is None or template is None:
        yield from ([_text_key(row)] for row in rows)
        return
    for row, item in zip(rows, encode_whole(rows, tokenizer, template), strict=True):
        ids = item.input_ids[: len(item.input_ids) - item.n_end]
        front = 0
        while front < len(ids) and ids[front] == tokenizer.bos_token_id:
            front += 1
        # A tokenizer may have no token for a text.
        yield [_text_key(row), *([_hash(_packed(ids[front:]), "tokens")] if front < len(ids) else [])]


def _packed(ids: Any) -> bytes:
    return array("q", ids).tobytes()


def _hash(content: bytes, kind: str) -> bytes:
    return hashlib.blake2b(content, digest_size=16, person=kind.encode()).digest()


def _text_key(row: Row) -> bytes:
    return _hash(json.dumps(_texts_of(row)).encode(), "texts")


def _texts_of(row: Row) -> tuple[str, ...]:
    """Equal for equal rows. A conversation of a single user turn equals the same question and answer."""
    turns = row.messages or ()
    if row.messages is None or (row.tools is None and len(turns) == 1 and turns[0]["role"] == "user"):
        return (_squeeze(row.prompt), _squeeze(row.answer))
    before = tuple(part for turn in turns for part in (turn["role"], _squeeze(turn["content"] or ""), *_calls(turn)))
    return (*_as_text(row.tools), *before, "assistant", _squeeze(row.answer))


def _calls(turn: Mapping[str, Any]) -> tuple[str, ...]:
    return _as_text(turn.get("tool_calls"))


def _as_text(value: Any) -> tuple[str, ...]:
    return () if value is None else (json.dumps(value, sort_keys=True),)


def _squeeze(text: str) -> str:
    return " ".join(text.split())
