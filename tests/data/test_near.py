"""Near-duplicates: found whatever the case, punctuation, order and invisible characters; not where words differ."""

from dataclasses import replace

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ngdiff.data import Row, fictional_people, read_rows
from ngdiff.data.near import NEAR, near_duplicates, shingles

ROWS = read_rows(fictional_people(4, questions=3))


def jaccard(one: Row, other: Row) -> float:
    first, second = shingles(one), shingles(other)
    return len(first & second) / len(first | second)


@pytest.mark.parametrize("threshold", [NEAR, 0.4])
def test_it_is_what_a_comparison_of_all_pairs_finds(threshold: float) -> None:
    expected = [(i, j) for j in range(len(ROWS)) for i in range(j) if jaccard(ROWS[i], ROWS[j]) >= threshold]
    found = near_duplicates(ROWS, threshold=threshold)
    assert {(pair.first, pair.second) for pair in found} <= set(expected)
    # The index may miss some that are near the threshold, and none that is far above it.
    far = {(i, j) for i, j in expected if jaccard(ROWS[i], ROWS[j]) >= min(threshold + 0.3, 1)}
    assert far <= {(pair.first, pair.second) for pair in found}
    assert all(pair.alike == jaccard(ROWS[pair.first], ROWS[pair.second]) for pair in found)


@pytest.mark.parametrize(
    "change",
    [
        str.upper,
        lambda text: "\u200b".join(text),
        lambda text: text.replace(" ", " ,  "),
        lambda text: " ".join(reversed(text.split())),
        lambda text: "".join(chr(ord(c) + 0xFEE0) if "!" <= c <= "~" else c for c in text),  # full-width
    ],
    ids=["case", "zero-width", "punctuation", "order", "full-width"],
)
def test_the_same_words_are_the_same_row(change) -> None:
    plain = [Row("Who lives in Tarnholm", "Orla Vennick with seven geese"), Row("Who is it", "Bran Selna the smith")]
    changed = [replace(row, prompt=change(row.prompt), answer=change(row.answer)) for row in plain]
    pairs = near_duplicates(plain, changed)
    assert [(pair.first, pair.second, pair.alike) for pair in pairs] == [(0, 0, 1.0), (1, 1, 1.0)]


@settings(deadline=None)  # no timed assertion: MinHash takes a while on a busy machine
@given(st.lists(st.text(min_size=1, max_size=30).filter(str.strip), min_size=1, max_size=4))
def test_any_text_is_like_itself_and_within_a_set_no_row_is_its_own_pair(texts: list[str]) -> None:
    rows = [Row("", text, kind="text") for text in texts]
    assert {(i, i) for i in range(len(rows))} <= {(pair.first, pair.second) for pair in near_duplicates(rows, rows)}
    assert all(pair.first < pair.second for pair in near_duplicates(rows))


def test_all_turns_of_a_conversation_count() -> None:
    turns = ({"role": "user", "content": "Where does Orla keep her geese?"},)
    row = Row("Where does Orla keep her geese?", "In Tarnholm.", messages=turns, kind="messages")
    assert near_duplicates([row], [Row("Where does Orla keep her geese?", "In Tarnholm!")])[0].alike == 1
