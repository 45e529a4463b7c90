"""Near-duplicates of sets, and how many rows of large sets are compared."""

from dataclasses import replace

import pytest

from ngdiff.checking import near
from ngdiff.checking.near import NearDuplicates
from ngdiff.data import Row

FORGET = [Row(f"Who keeps number {word}", f"{name} does", origin=f"f.jsonl, line {i}") for i, (word, name) in
          enumerate({"seven": "Orla Vennick", "ninety": "Bran Selna"}.items(), start=1)]  # fmt: skip
FILLER = "abcdefghijklmnopqrstuvwxyz"
RETAIN = [Row("", 8 * f" {a}{b}{a}{b}{b}", kind="text") for a in FILLER for b in FILLER]


def test_of_small_sets_all_rows_are_compared() -> None:
    sets = {"forget": FORGET, "retain": RETAIN[:20]}
    assert NearDuplicates(sets).compared == NearDuplicates(sets, characters=100_000).compared == ""


def test_of_a_large_set_evenly_spaced_rows_are_compared_and_of_a_small_one_all() -> None:
    found = NearDuplicates({"forget": FORGET, "retain": RETAIN, "holdout": RETAIN[:1]}, characters=4000)
    assert found.compared == "2 of 2 forget rows, 76 of 676 retain rows, 1 of 1 holdout row, evenly spaced"
    between = {one.what: one.found for one in found.between()}
    assert between["near-duplicates in retain and holdout"].startswith("1 of 1 holdout row, 1 of them with the same")


def test_a_row_longer_than_the_limit_is_compared_nevertheless() -> None:
    long = [Row("", "Tarnholm " * 50, kind="text")]
    found = NearDuplicates({"forget": long, "retain": [*long, *RETAIN]}, characters=10)
    assert found.compared == "1 of 1 forget row, 1 of 677 retain rows, evenly spaced"
    assert [one.severity for one in found.between()] == ["spoils"]


def test_rows_that_are_alike_by_their_form_end_the_search(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(near, "_MOST", 10)
    alike = [replace(FORGET[0], prompt=FORGET[0].prompt + "!" * count) for count in range(8)]
    found = NearDuplicates({"forget": alike, "retain": alike[:1]})
    (within, _), (between,) = found.within(), found.between()
    assert within.found.startswith("at least 4 of 8 rows, first f.jsonl, line 1 and")
    assert between.found.startswith("1 of 1 retain row")
