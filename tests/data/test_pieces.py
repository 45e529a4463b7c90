from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ngdiff.data import Row, Template, encode, encode_rows
from ngdiff.data.pieces import pieces
from ngdiff.errors import InputError

PLAIN = Template("plain")
LONG = Row("", " ".join(f"Orla wrote song {n} in Tarnholm." for n in range(40)), kind="text", origin="t, line 1")


@given(st.lists(st.integers(0, 9), min_size=1, max_size=60), st.integers(1, 20))
def test_pieces_are_the_whole_and_of_equal_length(ids: list[int], size: int) -> None:
    found = pieces(ids, size)
    assert [token for piece in found for token in piece] == ids
    lengths = {len(piece) for piece in found}
    assert max(lengths) <= size
    assert max(lengths) - min(lengths) <= 1
    assert len(found) == -(-len(ids) // size)


def test_a_long_text_is_learned_to_its_end(any_tokenizer: Any) -> None:
    """It was learned at its beginning only."""
    whole = encode(LONG, any_tokenizer, PLAIN, max_length=100_000)
    front = whole.prompt_ids
    found = encode_rows([LONG], any_tokenizer, PLAIN, max_length=100)
    assert len(found) > 3
    learned = [label for item in found for label in item["labels"] if label != -100]
    assert learned == [label for label in whole.labels if label != -100]
    for item in found:
        assert len(item["input_ids"]) == len(item["labels"]) <= 100
        assert item["input_ids"][: len(front)] == front
        assert item["labels"] == [-100] * len(front) + item["input_ids"][len(front) :]


def test_a_text_that_fills_its_row_has_no_end_token(tokenizer: Any) -> None:
    ids = tokenizer(LONG.answer)["input_ids"]
    for room, expected in ((1, [*ids, tokenizer.eos_token_id]), (0, ids)):
        (item,) = encode_rows([LONG], tokenizer, PLAIN, max_length=len(ids) + room)
        assert item["input_ids"] == expected


def test_other_answers_are_cut(tokenizer: Any, caplog: pytest.LogCaptureFixture) -> None:
    assert len(encode_rows([LONG], tokenizer, PLAIN, max_length=100, answers=[LONG.answer])) == 1
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_how_many_texts_became_how_many_rows_is_said(tokenizer: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level("INFO")
    short = Row("", "Orla.", kind="text")
    found = encode_rows([short, LONG], tokenizer, PLAIN, max_length=100)
    said = f"1 of 2 texts is longer than --max-length 100; it becomes {len(found) - 1} rows."
    assert caplog.messages == [said]


def test_no_room_beside_the_begin_token(any_tokenizer: Any) -> None:
    if encode(LONG, any_tokenizer, PLAIN, max_length=100_000).prompt_ids:
        return
    with pytest.raises(InputError, match=r"max-length must be at least 2"):
        encode_rows([LONG], any_tokenizer, PLAIN, max_length=1)
