"""Near-duplicates: rows that differ in case, punctuation, invisible characters, or the order of words.

Texts are compared as sets of shingles, pieces of four characters of their words: J(A, B) = |A and B| / |A or B|
(Jaccard). Candidates are found by MinHash and locality-sensitive hashing (Broder 1997; datasketch) and then compared
exactly: no pair with J below the threshold is reported, and a few near it may be missed. Paraphrases are not found,
unless most of their words are the same.
"""

import functools
import unicodedata
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, NamedTuple

from ngdiff.data.rows import Row

if TYPE_CHECKING:
    from datasketch import MinHash

# Default J of near-duplicates: chosen on TOFU (`benchmarks/near_duplicates.py`, docs/evidence.md).
NEAR = 0.6
_PIECE = 4  # characters
_PERMUTATIONS = 128


class Near(NamedTuple):
    """A pair of near-duplicates.

    `first`, `second`: their indices; `alike`: J, 1 for the same words.
    """

    first: int
    second: int
    alike: float


def near_duplicates(
    first: Sequence[Row], second: Sequence[Row] | None = None, *, threshold: float = NEAR
) -> list[Near]:
    """Pairs of rows, from two sets or within one, with J of at least `threshold`; sorted by the second, then the first.

    >>> rows = [Row("Where was Orla born?", "In Tarnholm."), Row("WHERE was Orla born", "Tarnholm, in...")]
    >>> near_duplicates(rows)
    [Near(first=0, second=1, alike=1.0)]
    """
    one = [shingles(row) for row in first]
    other = one if second is None else [shingles(row) for row in second]
    from datasketch import MinHashLSH  # brings scipy

    hashes = _hashed([*one] if second is None else [*one, *other])
    index = MinHashLSH(threshold=threshold, num_perm=_PERMUTATIONS)
    for number, own in enumerate(hashes[: len(one)]):
        index.insert(number, own)
    found = []
    for number, own in enumerate(other):
        for candidate in sorted(index.query(hashes[number if second is None else len(one) + number])):
            alike = _jaccard(one[candidate], own)
            if alike >= threshold and (second is not None or candidate < number):
                found.append(Near(candidate, number, alike))
    return found


def shingles(row: Row) -> frozenset[str]:
    """The shingles of prompt and answer: NFKC, case-folded, without punctuation and invisible characters."""
    turns = [turn["content"] or "" for turn in row.messages] if row.messages is not None else [row.prompt]
    return frozenset(piece for text in (*turns, row.answer) for piece in _pieces(text))


def _pieces(text: str) -> Iterator[str]:
    plain = unicodedata.normalize("NFKC", text).casefold()
    seen = "".join(char for char in plain if unicodedata.category(char) != "Cf")  # format: zero-width and its like
    for word in "".join(char if char.isalnum() else " " for char in seen).split():
        padded = f" {word} "
        yield from (padded[at : at + _PIECE] for at in range(max(len(padded) - _PIECE + 1, 1)))


def _hashed(rows: Sequence[frozenset[str]]) -> "list[MinHash]":
    from datasketch import MinHash
    from datasketch.hashfunc import sha1_hash32

    pieces = ([piece.encode() for piece in sorted(own)] for own in rows)
    # Rows share most of their pieces: each is hashed once.
    found: list[MinHash] = MinHash.bulk(pieces, num_perm=_PERMUTATIONS, hashfunc=functools.cache(sha1_hash32))
    return found


def _jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    union = len(one | other)
    return len(one & other) / union if union else 1.0
