"""Near-duplicates between the sets of a run, and within each."""

from collections.abc import Mapping, Sequence
from itertools import islice

from ngdiff.checking.findings import Finding
from ngdiff.data import Row
from ngdiff.data.near import NEAR, Near, fingerprints, near_pairs
from ngdiff.plurals import some_of

# The sets that must have no row in common.
PAIRS = (("forget", "retain"), ("forget", "holdout"), ("retain", "holdout"), ("forget", "protect"))
_ADVICE = {
    "holdout": "A holdout must not contain rows that the model saw: remove them from the holdout.",
    "protect": "What is to be forgotten would be held: remove them from the protected rows.",
}
# Pairs of near-duplicates that are looked at: rows that differ by a name alone make as many as there are pairs of rows.
_MOST = 200_000


class NearDuplicates:
    """Rows that are in two sets, or twice in one, but for case, punctuation, and some words.

    Args:
        sets: Those of forget, retain and holdout that were given.
        threshold: As in `near_duplicates`.
        characters: About how many to compare, of all sets together; None for all. One second takes about a million.

    Attributes:
        compared: How many rows of larger sets are compared, evenly spaced; empty if all are.
    """

    def __init__(
        self, sets: Mapping[str, Sequence[Row]], *, threshold: float = NEAR, characters: int | None = None
    ) -> None:
        self._sets = dict(sets) if characters is None else _evenly_spaced(sets, characters)
        self._threshold = threshold
        self._prints = {name: fingerprints(rows) for name, rows in self._sets.items()}
        counts = {name: (len(self._sets[name]), len(rows)) for name, rows in sets.items()}
        fewer = any(some < total for some, total in counts.values())
        parts = (some_of(some, total, f"{name} row") for name, (some, total) in counts.items())
        self.compared = f"{', '.join(parts)}, evenly spaced" if fewer else ""

    def between(self) -> list[Finding]:
        """Those of different sets."""
        return [self._between(first, second) for first, second in PAIRS if {first, second} <= self._sets.keys()]

    def within(self) -> list[Finding]:
        """Those of one set."""
        return [self._within(name) for name in self._sets]

    def _pairs(self, first: str, second: str | None = None) -> list[Near]:
        others = None if second is None else self._prints[second]
        return list(islice(near_pairs(self._prints[first], others, threshold=self._threshold), _MOST))

    def _between(self, first: str, second: str) -> Finding:
        what = f"near-duplicates in {first} and {second}"
        one, other = self._sets[first], self._sets[second]
        pairs = self._pairs(first, second)
        if not pairs:
            return Finding(what, "fine", f"none (similarity of {self._threshold:g} or more)")
        same = {pair.second for pair in pairs if pair.alike == 1}
        rows = len({pair.second for pair in pairs})
        top = max(pairs, key=lambda pair: pair.alike)
        found = (
            f"{_at_least(pairs)}{some_of(rows, len(other), f'{second} row')}, {len(same)} of them with the same words; "
            f"most similar ({top.alike:.2f}): {place_of(one[top.first])} and {place_of(other[top.second])}"
        )
        advice = _ADVICE.get(second, "Both sides would train on the same answers: remove them from one set.")
        return Finding(what, "spoils" if same else "doubtful", found, advice)

    def _within(self, name: str) -> Finding:
        what = f"near-duplicates within {name}"
        rows, pairs = self._sets[name], self._pairs(name)
        if not pairs:
            return Finding(what, "fine", "none")
        many = len({pair.second for pair in pairs})
        first = f"first {place_of(rows[pairs[0].first])} and {place_of(rows[pairs[0].second])}"
        found = f"{_at_least(pairs)}{some_of(many, len(rows), 'row')}, {first}"
        return Finding(what, "doubtful", found, "They count twice in losses and intervals: keep one of each.")


def place_of(row: Row) -> str:
    """Where a row came from, for a finding."""
    return row.origin or "an unnamed row"


def _evenly_spaced(sets: Mapping[str, Sequence[Row]], characters: int) -> dict[str, Sequence[Row]]:
    """Every n-th row of each set, so that all have about `characters`; what small sets leave is for the larger ones."""
    sizes = {name: sum(map(_size, rows)) for name, rows in sets.items()}
    taken, room = dict(sets), characters
    for left, name in zip(range(len(sizes), 0, -1), sorted(sizes, key=lambda name: sizes[name]), strict=True):
        taken[name] = sets[name][:: max(-(-sizes[name] * left // max(room, 1)), 1)]
        room -= sum(map(_size, taken[name]))
    return taken


def _size(row: Row) -> int:
    turns = (turn["content"] or "" for turn in row.messages) if row.messages is not None else (row.prompt,)
    return sum(map(len, turns)) + len(row.answer)


def _at_least(pairs: Sequence[Near]) -> str:
    """More than it says, where the search was ended."""
    return "at least " if len(pairs) == _MOST else ""
