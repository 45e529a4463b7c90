"""Near-duplicates: rows that differ in case, punctuation, invisible characters, or the order of words.

Texts are compared as sets of shingles, pieces of four characters of their words: J(A, B) = |A and B| / |A or B|
(Jaccard). Candidates are found by MinHash and locality-sensitive hashing (Broder 1997; datasketch) and then compared
exactly: no pair with J below the threshold is reported, and a few near it may be missed. Paraphrases are not found,
unless most of their words are the same.
"""

import functools
import sys
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


class Fingerprint(NamedTuple):
    """What a row is compared by: its shingles, and their MinHash."""

    pieces: frozenset[str]
    hashes: "MinHash"


def near_duplicates(
    first: Sequence[Row], second: Sequence[Row] | None = None, *, threshold: float = NEAR
) -> list[Near]:
    """Pairs of rows, from two sets or within one, with J of at least `threshold`; sorted by the second, then the first.

    >>> rows = [Row("Where was Orla born?", "In Tarnholm."), Row("WHERE was Orla born", "Tarnholm, in...")]
    >>> near_duplicates(rows)
    [Near(first=0, second=1, alike=1.0)]
    """
    others = None if second is None else fingerprints(second)
    return list(near_pairs(fingerprints(first), others, threshold=threshold))


def fingerprints(rows: Sequence[Row]) -> list[Fingerprint]:
    """The fingerprint of each row, for sets that are compared with several others."""
    from datasketch import MinHash  # brings scipy

    pieces = [shingles(row) for row in rows]
    encoded = ([piece.encode() for piece in sorted(own)] for own in pieces)
    hashes: list[MinHash] = MinHash.bulk(encoded, num_perm=_PERMUTATIONS, hashfunc=_hash)
    return [Fingerprint(*both) for both in zip(pieces, hashes, strict=True)]


def near_pairs(
    first: Sequence[Fingerprint], second: Sequence[Fingerprint] | None = None, *, threshold: float = NEAR
) -> Iterator[Near]:
    """The pairs of `near_duplicates`, one by one: where rows are alike by their form, there may be millions."""
    from datasketch import MinHashLSH

    index = MinHashLSH(threshold=threshold, num_perm=_PERMUTATIONS)
    for number, own in enumerate(first):
        index.insert(number, own.hashes)
    for number, own in enumerate(first if second is None else second):
        for candidate in sorted(index.query(own.hashes)):
            if second is None and candidate >= number:
                break
            alike = _jaccard(first[candidate].pieces, own.pieces)
            if alike >= threshold:
                yield Near(candidate, number, alike)


def shingles(row: Row) -> frozenset[str]:
    """The shingles of prompt and answer: NFKC, case-folded, without punctuation and invisible characters."""
    turns = [turn["content"] or "" for turn in row.messages] if row.messages is not None else [row.prompt]
    return frozenset(sys.intern(piece) for text in (*turns, row.answer) for piece in _pieces(text))


def _pieces(text: str) -> Iterator[str]:
    plain = unicodedata.normalize("NFKC", text).casefold()
    seen = "".join(char for char in plain if unicodedata.category(char) != "Cf")  # format: zero-width and its like
    for word in "".join(char if char.isalnum() else " " for char in seen).split():
        padded = f" {word} "
        yield from (padded[at : at + _PIECE] for at in range(max(len(padded) - _PIECE + 1, 1)))


@functools.lru_cache(maxsize=1 << 18)
def _hash(piece: bytes) -> int:
    """Rows share most of their pieces: each is hashed once."""
    from datasketch.hashfunc import sha1_hash32

    return int(sha1_hash32(piece))


def _jaccard(one: frozenset[str], other: frozenset[str]) -> float:
    union = len(one | other)
    return len(one & other) / union if union else 1.0
