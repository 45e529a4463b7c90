"""Texts to tokens in bounded memory: a batch of texts at a time, and a long text in pieces.

A tokenizer keeps some 180 bytes for each character of a call. A long text is therefore read in windows that overlap.
Tokens depend on what is close to them, so that some way into the next window its tokens are those of the window before;
there the two are joined. What comes out is what one call would have given: where two windows do not agree on a run of
tokens the text is refused.
"""

from array import array
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from ngdiff.errors import InputError

LONG = 1 << 20  # characters of a text that is read in windows, and of all texts of one call
WINDOW = 1 << 18
OVERLAP = 1 << 12  # at first; four times as much where that is not enough
RUN = 16  # tokens in a row on which two windows must agree


@dataclass(frozen=True, slots=True)
class Tokens:
    """Tokens of one text.

    Attributes:
        ids: With what the tokenizer puts in front, without what it puts behind.
        starts, ends: Where each begins and ends in the text, in characters; 0 for what is put in front.
    """

    ids: list[int]
    starts: Sequence[int]
    ends: Sequence[int]


def tokens_of(texts: Sequence[str], tokenizer: Any, *, special: bool, origins: Sequence[str] = ()) -> Iterator[Tokens]:
    """Tokens of each text, in order.

    Args:
        texts: The texts.
        tokenizer: A fast tokenizer of transformers.
        special: Whether the tokenizer puts its special tokens in front and behind.
        origins: What messages call the texts.

    Raises:
        InputError: a text of more than 2^20 characters that cannot be read in windows.
    """
    batch: list[str] = []
    size = 0
    for number, text in enumerate(texts):
        if batch and size + len(text) > LONG:
            yield from _batch(batch, tokenizer, special)
            batch, size = [], 0
        if len(text) > LONG:
            yield _in_windows(text, tokenizer, special, (origins[number] if number < len(origins) else "") or "a row")
        else:
            batch.append(text)
            size += len(text)
    if batch:
        yield from _batch(batch, tokenizer, special)


@dataclass(frozen=True, slots=True)
class _Window:
    """Tokens of a part of a text: ids, and where each begins and ends in the whole."""

    ids: list[int]
    spans: list[tuple[int, int]]


def _batch(texts: list[str], tokenizer: Any, special: bool) -> Iterator[Tokens]:
    for window in _windows(texts, tokenizer, special):
        yield Tokens(window.ids, [start for start, _ in window.spans], [end for _, end in window.spans])


def _windows(texts: list[str], tokenizer: Any, special: bool, begin: int = 0) -> Iterator[_Window]:
    batch = tokenizer(
        texts,
        add_special_tokens=special,
        return_offsets_mapping=True,
        return_special_tokens_mask=True,
        return_attention_mask=False,
        return_token_type_ids=False,
        verbose=False,
    )
    for ids, spans, added in zip(
        batch["input_ids"], batch["offset_mapping"], batch["special_tokens_mask"], strict=True
    ):
        length = len(ids)
        while length and added[length - 1]:
            length -= 1
        yield _Window(list(ids[:length]), [(start + begin, end + begin) for start, end in spans[:length]])


def _in_windows(text: str, tokenizer: Any, special: bool, origin: str) -> Tokens:
    ids: list[int] = []
    starts, ends = array("q"), array("q")
    shared: dict[int, int] = {}  # one object for each id, not for each token

    def keep(window: _Window, first: int, last: int) -> None:
        ids.extend(shared.setdefault(i, i) for i in window.ids[first:last])
        starts.extend(start for start, _ in window.spans[first:last])
        ends.extend(end for _, end in window.spans[first:last])

    (window,) = _windows([text[:WINDOW]], tokenizer, special)
    first, stop = 0, WINDOW
    while stop < len(text):
        found = _following(text, window, stop, tokenizer)
        if found is None:
            raise InputError(
                f"{origin}: a text of {len(text):,} characters that the tokenizer can only read as a whole, for which "
                "the memory may not do; make several rows of it."
            )
        following, here, there, stop = found
        keep(window, first, here)
        window, first = following, there
    keep(window, first, len(window.ids))
    return Tokens(ids, starts, ends)


def _following(text: str, window: _Window, stop: int, tokenizer: Any) -> tuple[_Window, int, int, int] | None:
    """The window after the one that ends at character `stop`; a token of either from which on both are the same; and
    where the new one ends. None: there is no such token."""
    for overlap in (OVERLAP, 4 * OVERLAP, 16 * OVERLAP):
        near = [place for place, (start, _) in enumerate(window.spans) if start >= stop - overlap]
        if not near:
            continue
        # Begun where a token begins, the new window agrees at once in texts that repeat themselves.
        begin = window.spans[near[0]][0]
        (following,) = _windows([text[begin : begin + WINDOW]], tokenizer, False, begin)
        places: dict[tuple[int, tuple[int, int]], int] = {}
        for place, token in enumerate(zip(following.ids, following.spans, strict=True)):
            places.setdefault(token, place)
        for here in near:
            last = here + RUN
            # The last tokens of a window may be of words that are cut.
            if last > len(window.ids) or window.spans[last - 1][1] > stop - overlap // 2:
                break
            there = places.get((window.ids[here], window.spans[here]))
            if there is not None and _agree(window, here, following, there):
                return following, here, there, begin + WINDOW
    return None


def _agree(one: _Window, here: int, other: _Window, there: int) -> bool:
    own, others = slice(here, here + RUN), slice(there, there + RUN)
    return one.ids[own] == other.ids[others] and one.spans[own] == other.spans[others]
