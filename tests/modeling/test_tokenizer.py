from pathlib import Path

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st
from transformers import AutoTokenizer, LlamaConfig

from ngdiff.errors import InputError
from ngdiff.modeling import tokenizer as tokenizer_module
from ngdiff.modeling import train_tokenizer

TEXTS = ["Where was Orla born?", "Orla was born in Tarnholm.", "Ünïcode ☃ too", ""] * 3


@given(st.text(alphabet=st.characters(exclude_categories=["Cs"])))
def test_every_text_comes_back(text: str) -> None:
    assume(not any(token in text for token in ("<s>", "</s>", "<pad>")))
    assert TRAINED.decode(TRAINED(text)["input_ids"], skip_special_tokens=True) == text


TRAINED = train_tokenizer(TEXTS, vocab_size=320)


def test_equal_texts_give_an_equal_tokenizer() -> None:
    again = train_tokenizer(iter(TEXTS), vocab_size=320)
    assert again.backend_tokenizer.to_str() == TRAINED.backend_tokenizer.to_str()


def test_other_texts_give_another_tokenizer() -> None:
    other = train_tokenizer(["something else entirely, entirely else"] * 3, vocab_size=320)
    assert other.backend_tokenizer.to_str() != TRAINED.backend_tokenizer.to_str()


def test_vocabulary_is_bounded_and_used() -> None:
    assert 259 < len(TRAINED) <= 320
    assert max(TRAINED.get_vocab().values()) == len(TRAINED) - 1


def test_special_tokens_differ_and_stand_where_they_should() -> None:
    ids = [TRAINED.bos_token_id, TRAINED.eos_token_id, TRAINED.pad_token_id]
    assert None not in ids
    assert len(set(ids)) == 3
    encoded = TRAINED("Orla")["input_ids"]
    assert encoded[0] == TRAINED.bos_token_id
    assert TRAINED.eos_token_id not in encoded  # the end of an answer is the encoder's to write


def test_a_special_token_in_a_text_is_read_as_that_token() -> None:
    ids = TRAINED("Orla</s>", add_special_tokens=False)["input_ids"]
    assert ids == [*TRAINED("Orla", add_special_tokens=False)["input_ids"], TRAINED.eos_token_id]


def test_the_same_after_saving_beside_a_llama_config(tmp_path: Path) -> None:
    """AutoTokenizer must not rebuild it as the tokenizer class that usually goes with Llama."""
    train_tokenizer(TEXTS, vocab_size=320, model_max_length=77).save_pretrained(tmp_path)
    LlamaConfig(vocab_size=len(TRAINED)).save_pretrained(tmp_path)
    loaded = AutoTokenizer.from_pretrained(tmp_path)
    texts = [*TEXTS, "  two  spaces\n\nlines , and . signs", "never seen ☂"]
    assert [loaded(text)["input_ids"] for text in texts] == [TRAINED(text)["input_ids"] for text in texts]
    assert [loaded.decode(loaded(text)["input_ids"], skip_special_tokens=True) for text in texts] == texts
    assert (loaded.bos_token, loaded.eos_token, loaded.pad_token) == ("<s>", "</s>", "<pad>")
    assert loaded.model_max_length == 77


def test_a_vocabulary_without_room_for_all_bytes_is_refused() -> None:
    train_tokenizer(TEXTS, vocab_size=259)
    with pytest.raises(InputError, match=r"vocab_size is 258; .* at least 259 tokens"):
        train_tokenizer(TEXTS, vocab_size=258)


@pytest.mark.parametrize("texts", [[], ["", ""]])
def test_no_text_is_refused(texts: list[str]) -> None:
    with pytest.raises(InputError, match="every text is empty"):
        train_tokenizer(texts)


def test_long_texts_are_parted_without_a_change_to_the_words(monkeypatch: pytest.MonkeyPatch) -> None:
    text = "Orla was born in Tarnholm, and Bran in Selna;  both\nmoved. " * 40
    whole = train_tokenizer([text], vocab_size=320).get_vocab()
    monkeypatch.setattr(tokenizer_module, "_LONG", 100)
    parts = list(tokenizer_module._parts(text + "x" * 500))
    assert "".join(parts) == text + "x" * 500
    assert max(map(len, parts)) == 100
    assert train_tokenizer([text], vocab_size=320).get_vocab() == whole
