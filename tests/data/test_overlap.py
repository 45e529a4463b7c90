"""Rows in both sets are refused or dropped."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ngdiff.data import Row, check_overlap, read_rows
from ngdiff.errors import InputError

A, B, C = (Row(f"Q{x}", f"A{x}", origin=f"set, line {x}") for x in "123")


def chat(*contents: str, roles: str = "ua") -> Row:
    names = {"s": "system", "u": "user", "a": "assistant"}
    turns = [{"role": names[role], "content": text} for role, text in zip(roles, contents, strict=True)]
    return read_rows([{"messages": turns}])[0]


def test_refused_with_both_places() -> None:
    again = Row("Q2", "A2", origin="retain.csv, line 9")
    message = (
        r"2 of 3 rows of --retain are also in --forget, the first at retain.csv, line 9 and set, line 2; .*"
        r"--drop-overlap"
    )
    with pytest.raises(InputError, match=message):
        check_overlap([A, B], [C, again, A], drop=False)


def test_dropped_from_retain() -> None:
    assert check_overlap([A, B], [C, B, A, C], drop=True) == ([C, C], 2)
    assert check_overlap([A], [B, C], drop=True) == ([B, C], 0)
    assert check_overlap([A], [B, C], drop=False) == ([B, C], 0)


def test_nothing_left() -> None:
    with pytest.raises(InputError, match="--drop-overlap: all 2 rows of --retain are also in --forget; none is left"):
        check_overlap([A, B], [A, A], drop=True)


def test_duplicates_in_one_set_are_kept() -> None:
    assert check_overlap([A, A], [B, B], drop=False) == ([B, B], 0)


@pytest.mark.parametrize(
    ("one", "other", "same"),
    [
        (Row("Where  is\nit?", " Here."), Row("Where is it?", "Here.\n"), True),
        (Row("Where?", "Here."), Row("Where?", "There."), False),
        (Row("Where?", "Here."), Row("When?", "Here."), False),
        (Row("Where?", "Here."), Row("Where? ", " Here.", kind="completion"), True),
        (Row("", "Here.", kind="text"), Row("Where?", "Here."), False),
        (chat("Where?", "Here."), Row("Where?", "Here."), True),
        (chat("Where?", "Here."), chat("Where? ", "Here."), True),
        (chat("Brief!", "Where?", "Here.", roles="sua"), chat("Where?", "Here."), False),
        (
            chat("Hi", "Hello", "Where?", "Here.", roles="uaua"),
            chat("Hi", "Ho", "Where?", "Here.", roles="uaua"),
            False,
        ),
        (chat("Hi", "Where?", "Here.", roles="sua"), chat("Hi", "Where?", "Here.", roles="uua"), False),
    ],
)
def test_what_is_the_same(one: Row, other: Row, same: bool) -> None:
    for forget, retain in ((one, other), (other, one)):
        kept, dropped = check_overlap([forget], [retain, C], drop=True)
        assert (len(kept), dropped) == ((1, 1) if same else (2, 0))


@given(st.lists(st.sampled_from("abcde"), max_size=8), st.lists(st.sampled_from("abcde"), min_size=1, max_size=8))
def test_against_sets(forget: list[str], retain: list[str]) -> None:
    rows = [Row("Q", x) for x in retain] + [C]
    kept, dropped = check_overlap([Row("Q", x) for x in forget], rows, drop=True)
    assert [row.answer for row in kept] == [x for x in retain if x not in set(forget)] + [C.answer]
    assert dropped == len(rows) - len(kept)
