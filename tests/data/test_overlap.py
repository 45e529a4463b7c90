"""Rows in both sets are refused or dropped."""

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ngdiff.data import Row, check_encoded_overlap, check_overlap, read_rows, resolve_template
from ngdiff.errors import InputError

from .conftest import make

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


# ---- as a model is shown them ----------------------------------------------------------------------------------------

ASKED = Row("Where was Orla Vennick born?", "In Tarnholm.", origin="qa")
WRITTEN = "Question: Where was Orla Vennick born?\nAnswer:"
SAME = {
    "question and answer": ASKED,
    "prompt and completion": Row(WRITTEN, " In Tarnholm.", kind="completion"),
    "border elsewhere": Row("Question: Where was", " Orla Vennick born?\nAnswer: In Tarnholm.", kind="completion"),
    "text": Row("", WRITTEN + " In Tarnholm.", kind="text"),
    "passage": Row("", WRITTEN + " In Tarnholm.", kind="corpus"),
    "raw": Row(WRITTEN, " In Tarnholm.", kind="raw"),
}
OTHER = [Row("Where was Bran born?", "In Selna."), Row("", "In Tarnholm.", kind="text")]


def shown(forget: list[Row], retain: list[Row], tokenizer: Any, choice: str = "auto") -> tuple[list[Row], int]:
    template = resolve_template(choice, tokenizer, [*forget, *retain])
    return check_overlap(forget, retain, drop=True, tokenizer=tokenizer, template=template)


@pytest.mark.parametrize("one", SAME)
@pytest.mark.parametrize("other", SAME)
def test_columns_hide_no_row(any_tokenizer: Any, one: str, other: str) -> None:
    kept, dropped = shown([OTHER[0], SAME[one]], [SAME[other], OTHER[1]], any_tokenizer, "plain")
    assert (kept, dropped) == ([OTHER[1]], 1)


def test_texts_alone_do_not_show_it() -> None:
    """What the check was before it knew of tokens."""
    assert check_overlap([ASKED], [SAME["text"]], drop=False) == ([SAME["text"]], 0)


def test_a_chat_and_its_text(chat_tokenizer: Any) -> None:
    rendered = chat_tokenizer.apply_chat_template(
        [{"role": "user", "content": ASKED.prompt}, {"role": "assistant", "content": ASKED.answer}], tokenize=False
    )
    text = Row("", rendered.rstrip().removesuffix("<|im_end|>"), kind="text")
    for forget, retain in (([ASKED], [text, OTHER[1]]), ([text], [ASKED, OTHER[1]])):
        assert shown(forget, retain, chat_tokenizer) == ([OTHER[1]], 1)


def test_a_tokenizer_that_drops_case_shows_the_same() -> None:
    tokenizer = make("wordpiece")
    loud = Row(ASKED.prompt.upper(), ASKED.answer, origin="loud")
    assert shown([ASKED], [loud, OTHER[1]], tokenizer) == ([OTHER[1]], 1)
    assert shown([ASKED], [loud, OTHER[1]], make("byte-level"))[1] == 0


def test_the_error_names_places_and_sets_and_no_text(tokenizer: Any) -> None:
    template = resolve_template("auto", tokenizer, [ASKED])
    rows = [OTHER[1], Row("", SAME["text"].answer, kind="text", origin="b.jsonl, line 7")]
    with pytest.raises(InputError) as caught:
        check_overlap(
            [ASKED], rows, drop=False, tokenizer=tokenizer, template=template, names=("--forget", "--holdout")
        )
    assert str(caught.value) == (
        "1 of 2 rows of --holdout is also in --forget, at b.jsonl, line 7 and qa; remove it from one of "
        "the two, or pass --drop-overlap to leave it out of --holdout."
    )


def test_long_rows_are_compared_whole(tokenizer: Any) -> None:
    long = "Orla was born in Tarnholm. " * 200
    forget, same, other = (Row("", long + end, kind="text") for end in ("Yes.", "Yes.", "No."))
    assert shown([forget], [same, other], tokenizer) == ([other], 1)


def test_encoded_rows() -> None:
    forget = [{"input_ids": [1, 2]}, {"input_ids": [3]}]
    check_encoded_overlap(forget, [{"input_ids": [2, 1]}, {"input_ids": [1, 2, 3]}])
    with pytest.raises(InputError, match=r"1 of 2 encoded rows .* in --forget, rows 1 and 0"):
        check_encoded_overlap(forget, [{"input_ids": [2, 1]}, {"input_ids": [1, 2]}])
