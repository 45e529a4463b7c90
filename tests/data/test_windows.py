"""A long answer is in windows to its end, each token of it a label once."""

from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from ngdiff.data import Row, Template, encode, encode_rows
from ngdiff.data.encode import encode_named, encode_parts
from ngdiff.data.windows import windows
from ngdiff.errors import InputError

PLAIN = Template("plain")
WHOLE = 100_000
LONG = " ".join(f"Orla wrote song {n} in Tarnholm." for n in range(20))
ROWS = {
    "question": Row("Who writes ballads?", LONG, origin="f, line 1"),
    "completion": Row("Ans", f"wer: {LONG}", kind="completion", origin="f, line 1"),
    "raw": Row("Of Orla: ", LONG, kind="raw", origin="f, line 1"),
    "chat": Row("", LONG, messages=({"role": "user", "content": "Who?"},), kind="messages", origin="f, line 1"),
}


@given(st.integers(1, 200), st.integers(2, 40))
def test_every_token_is_learned_in_one_window(length: int, size: int) -> None:
    found = windows(length, size)
    assert [place for _, learned, stop in found for place in range(learned, stop)] == list(range(length))
    assert found[0] == (0, 0, min(length, size))
    for start, learned, stop in found[1:]:
        assert learned - start == size // 2
        assert stop - start <= size
    learned_each = [stop - learned for _, learned, stop in found[1:]]
    assert not learned_each or max(learned_each) - min(learned_each) <= 1
    # As few as hold them.
    assert len(found) == 1 + max(0, -(-(length - size) // (size - size // 2)))


@pytest.mark.parametrize("kind", ROWS)
@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(room=st.integers(1, 80), words=st.integers(1, 40))
def test_windows_of_a_row(chat_tokenizer: Any, kind: str, room: int, words: int) -> None:
    """However long prompt and answer are: the ids are consecutive, and the labels are those of the whole row."""
    row = ROWS[kind]
    row = Row(row.prompt, " ".join(row.answer.split(" ")[:words]), messages=row.messages, kind=row.kind)
    template = Template("chat", chat_tokenizer) if kind == "chat" else PLAIN
    whole = encode(row, chat_tokenizer, template, max_length=WHOLE)
    max_length = max(len(whole.prompt_ids), 1) + room
    (found,) = encode_parts([row], chat_tokenizer, template, max_length=max_length)
    assert found[0].input_ids == whole.input_ids[:max_length]
    assert found[0].labels == whole.labels[:max_length]
    learned = len(found[0].input_ids)
    for item in found[1:]:
        context = len(item.prompt_ids)
        assert 1 <= context == max_length // 2
        assert item.input_ids == whole.input_ids[learned - context : learned - context + len(item.input_ids)]
        assert item.labels == [-100] * context + item.input_ids[context:]
        learned += len(item.input_ids) - context
    assert learned == len(whole.input_ids)
    assert all(len(item.input_ids) <= max_length for item in found)
    assert sum(item.n_end for item in found) == whole.n_end
    assert not any(item.n_cut for item in found)


def test_every_tokenizer_learns_a_long_answer_to_its_end_token(any_tokenizer: Any) -> None:
    """It was learned at its beginning only."""
    row = ROWS["question"]
    whole = encode(row, any_tokenizer, PLAIN, max_length=WHOLE)
    found = encode_rows([row], any_tokenizer, PLAIN, max_length=100)
    assert len(found) > 2
    labels = [label for item in found for label in item["labels"] if label != -100]
    assert labels == [label for label in whole.labels if label != -100]
    assert labels[-1] == any_tokenizer.eos_token_id


def test_a_prompt_that_leaves_no_room_is_refused(tokenizer: Any) -> None:
    row = ROWS["question"]
    prompt = len(encode(row, tokenizer, PLAIN, max_length=WHOLE).prompt_ids)
    with pytest.raises(InputError, match=rf"f, line 1: the prompt alone has {prompt} tokens"):
        encode_rows([row], tokenizer, PLAIN, max_length=prompt)
    assert len(encode_rows([row], tokenizer, PLAIN, max_length=prompt + 1)) > 2


def test_other_answers_are_cut(tokenizer: Any, caplog: pytest.LogCaptureFixture) -> None:
    row = ROWS["question"]
    (item,) = encode_rows([row], tokenizer, PLAIN, max_length=100, answers=[LONG])
    assert item["input_ids"] == encode(row, tokenizer, PLAIN, max_length=WHOLE).input_ids[:100]
    assert [record.levelname for record in caplog.records] == ["WARNING"]


def test_what_is_said_of_long_rows(tokenizer: Any, caplog: pytest.LogCaptureFixture) -> None:
    """Pieces of texts and windows of other rows are counted apart, each part under the name of its row."""
    caplog.set_level("INFO")
    text, unnamed = Row("", LONG, kind="text", origin="f, line 2"), Row("Who?", "Orla.")
    found = encode_named([ROWS["question"], text, unnamed], tokenizer, PLAIN, max_length=100, role="--forget")
    names = [name for name, _ in found]
    n_windows, n_pieces = names.count("f, line 1"), names.count("f, line 2")
    assert names == ["f, line 1"] * n_windows + ["f, line 2"] * n_pieces + ["row 2 (from 0)"]
    assert caplog.messages == [
        f"--forget: 1 of 1 text is longer than --max-length 100; it becomes {n_pieces} rows.",
        f"--forget: 1 of 2 rows with a prompt is longer than --max-length 100; it becomes {n_windows} windows, to "
        "the end of its answer.",
    ]
