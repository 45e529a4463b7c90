"""Texts in chunks that overlap: every token is learned once, after the end of the chunk before."""

import logging
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ngdiff.data import Row, Template, encode, encode_rows, read_rows
from ngdiff.data.documents import CHUNK
from ngdiff.data.pieces import chunks
from ngdiff.data.rows import Chunk
from ngdiff.errors import InputError
from ngdiff.manifest import describe_data

PLAIN = Template("plain")
LONG = " ".join(f"word{i}" for i in range(150))


@given(st.integers(0, 200), st.integers(1, 50), st.integers(0, 60))
def test_every_token_is_in_one_piece(length: int, size: int, overlap: int) -> None:
    ids = list(range(length))
    found = chunks(ids, size, overlap)
    assert [i for _, own in found for i in own] == ids
    assert max(len(context) + len(own) for context, own in found) <= size
    assert found[0][0] == []
    for context, own in found[1:]:
        assert context == ids[max(own[0] - min(overlap, size // 2), 0) : own[0]]


def test_what_is_learned_of_a_document(any_tokenizer: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    row = Row("", LONG, kind="text", document="a.md", chunk=Chunk(40, 10))
    whole = encode(row, any_tokenizer, PLAIN, max_length=100_000)
    front = whole.prompt_ids
    found = encode_rows([row], any_tokenizer, PLAIN, max_length=1000)
    learned = [[label for label in item["labels"] if label != -100] for item in found]
    assert [label for own in learned for label in own] == [label for label in whole.labels if label != -100]
    for number, (item, own) in enumerate(zip(found, learned, strict=True)):
        before = whole.input_ids[len(front) :][: sum(map(len, learned[:number]))]
        assert item["input_ids"] == front + before[-10:] * bool(number) + own
        assert len(item["input_ids"]) <= 40 + (number == len(found) - 1)  # the end token
    assert caplog.messages == [f"1 of 1 document is longer than --chunk-tokens 40; it becomes {len(found)} chunks."]


def test_the_longest_row_bounds_a_chunk(tokenizer: Any, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.INFO)
    found = encode_rows([Row("", LONG, kind="text", chunk=Chunk(400, 50))], tokenizer, PLAIN, max_length=20)
    assert max(len(item["input_ids"]) for item in found) <= 20
    assert "longer than --max-length 20" in caplog.text


def test_asked_for_by_the_source(tmp_path: Path) -> None:
    (tmp_path / "a.md").write_text(LONG)
    texts = [{"text": LONG}]

    def chunk_of(source: Any, **asked: int) -> Chunk | None:
        return read_rows(source, **asked)[0].chunk

    assert chunk_of(tmp_path) == CHUNK
    assert chunk_of(texts) is None
    assert chunk_of(tmp_path, chunk_tokens=80) == chunk_of(texts, chunk_tokens=80) == (80, 10)
    assert chunk_of(tmp_path, chunk_overlap=0) == (CHUNK.tokens, 0)
    assert chunk_of([{"question": "Q", "answer": "A"}], chunk_tokens=80) is None
    described = describe_data(tmp_path, read_rows(tmp_path))
    assert (described["chunk_tokens"], described["chunk_overlap"], described["documents"]) == (512, 64, 1)
    assert described["rows_sha256"] == describe_data(None, read_rows(texts))["rows_sha256"]


@pytest.mark.parametrize(
    ("asked", "message"),
    [
        ({"chunk_tokens": 1}, "--chunk-tokens 1 is not 2 or more"),
        ({"chunk_tokens": 10, "chunk_overlap": 6}, "--chunk-overlap 6 is not from 0 to half of --chunk-tokens, 5"),
        ({"chunk_overlap": -1}, "--chunk-overlap -1 is not from 0 to half of --chunk-tokens, 256"),
    ],
)
def test_refused(asked: dict[str, int], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_rows([{"text": "T"}], **asked)
