"""Texts read in windows have the tokens of one call, whatever the tokenizer, in bounded memory."""

from typing import Any

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from ngdiff.data import Row, encode_rows, resolve_template, tokens
from ngdiff.data.tokens import tokens_of
from ngdiff.errors import InputError

from .conftest import TEXTS, TOKENIZERS, make

FAST = [name for name in TOKENIZERS if not name.startswith("python")]
PROSE = "\n".join(TEXTS)


def whole(text: str, tokenizer: Any, special: bool) -> tuple[list[int], list[tuple[int, int]]]:
    """One call, without what the tokenizer puts behind."""
    found = tokenizer(text, add_special_tokens=special, return_offsets_mapping=True, return_special_tokens_mask=True)
    length = len(found["input_ids"])
    while length and found["special_tokens_mask"][length - 1]:
        length -= 1
    return found["input_ids"][:length], found["offset_mapping"][:length]


@pytest.fixture
def small_windows(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tokens, "LONG", 1000)
    monkeypatch.setattr(tokens, "WINDOW", 900)
    monkeypatch.setattr(tokens, "OVERLAP", 160)


def check(text: str, tokenizer: Any, special: bool) -> None:
    (found,) = tokens_of([text], tokenizer, special=special)
    ids, spans = whole(text, tokenizer, special)
    assert found.ids == ids
    assert list(zip(found.starts, found.ends, strict=True)) == spans


LONG_TEXTS = {
    "prose": PROSE[:6000],
    "white space": PROSE[:3000].replace(" ", "  \n\t "),
    "scripts": "née Ærø 🙂🙂 “so” 你好，世界 " * 150,
    "digits": "1234567890" * 300,
    "one letter": "a" * 4000,
    "two letters": "ab" * 2000,
    "special tokens": (PROSE[:200] + "</s><|im_end|><s> ") * 12,
    "spaces": " " * 1500 + PROSE[:1500],
}
# One unknown token for a long word, none for spaces: nothing that windows could agree on.
REFUSED = [("wordpiece", text) for text in ("digits", "one letter", "two letters", "spaces")]


@pytest.mark.parametrize("name", FAST)
@pytest.mark.parametrize("special", [True, False])
@pytest.mark.parametrize("text", LONG_TEXTS)
@pytest.mark.usefixtures("small_windows")
def test_windows_give_the_tokens_of_one_call(name: str, special: bool, text: str) -> None:
    if (name, text) in REFUSED:
        with pytest.raises(InputError, match=r"a text of [\d,]+ characters that the tokenizer can only read"):
            check(LONG_TEXTS[text], make(name), special)
    else:
        check(LONG_TEXTS[text], make(name), special)


@settings(max_examples=25, deadline=None)
@given(st.sampled_from(FAST), st.lists(st.text(max_size=12), max_size=40), st.integers(0, len(PROSE) - 3000))
@example("byte-level", ["\x00", "e\u0301"], 0)
@example("sentencepiece", ["▁", "  "], 5)
def test_strange_texts_within_prose(name: str, strange: list[str], start: int) -> None:
    pieces = [PROSE[start + 70 * number : start + 70 * number + 70] for number in range(41)]
    text = "".join(piece + odd for piece, odd in zip(pieces, [*strange, *[""] * 41], strict=False))
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(tokens, "LONG", 1000)
        patched.setattr(tokens, "WINDOW", 900)
        patched.setattr(tokens, "OVERLAP", 160)
        check(text, make(name), True)


@pytest.mark.usefixtures("small_windows")
def test_many_texts_in_their_order() -> None:
    texts = [PROSE[k : k + length] for k, length in enumerate([300, 400, 500, 3000, 0, 20, 999, 1000, 1001, 5])]
    found = list(tokens_of(texts, make("byte-level"), special=True))
    assert [item.ids for item in found] == [whole(text, make("byte-level"), True)[0] for text in texts]


@pytest.mark.usefixtures("small_windows")
def test_rows_that_cannot_be_read_in_windows_are_named() -> None:
    row = Row("", "a" * 5000, kind="text", origin="rows.jsonl, line 3")
    tokenizer = make("wordpiece")  # one unknown word, however long
    template = resolve_template("auto", tokenizer, [row])
    with pytest.raises(InputError, match=r"rows\.jsonl, line 3: a text of 5,000 characters that .*; make several rows"):
        encode_rows([row], tokenizer, template, max_length=8)


@pytest.mark.usefixtures("small_windows")
@pytest.mark.parametrize("name", FAST)
def test_labels_of_a_long_prompt_and_a_long_answer(name: str, monkeypatch: pytest.MonkeyPatch) -> None:
    rows = [Row(PROSE[:1500], PROSE[1500:4000], origin="x"), Row("Where?", PROSE[:2500], origin="y")]
    tokenizer = make(name)
    template = resolve_template("plain", tokenizer, rows)
    found = encode_rows(rows, tokenizer, template, max_length=1 << 20)
    monkeypatch.setattr(tokens, "LONG", 1 << 20)
    assert found == encode_rows(rows, tokenizer, template, max_length=1 << 20)
