import copy
from typing import Any

import pytest

from ngdiff.errors import InputError
from ngdiff.modeling import build_model, check_tokens, check_vocabulary, train_tokenizer
from ngdiff.modeling.vocabulary import embedding_rows, pad_token_within, with_usable_pad


@pytest.fixture
def larger(tokenizer: Any) -> Any:
    """With a pad token and a word that the model has no embedding for."""
    more = copy.deepcopy(tokenizer)
    more.add_special_tokens({"pad_token": "[PAD]"})
    more.add_tokens(["Tarnholm"])
    return more


def test_tokenizer_of_another_model(model: Any, tokenizer: Any) -> None:
    check_vocabulary(model, tokenizer)
    small = build_model("llama-micro", train_tokenizer(["x"], vocab_size=259))
    with pytest.raises(InputError, match=rf"{len(tokenizer)} tokens and the model 259 embeddings: they do not belong"):
        check_vocabulary(small, tokenizer)


def test_added_tokens_are_refused_where_they_are_used(model: Any, tokenizer: Any, larger: Any) -> None:
    check_vocabulary(model, larger)
    known, unknown = larger("a few words")["input_ids"], larger("in Tarnholm")["input_ids"]
    assert embedding_rows(model) == len(tokenizer) == max(unknown) - 1
    check_tokens(model, larger, [("line 1", known), ("line 2", [])])
    with pytest.raises(
        InputError, match=rf"line 2: token {max(unknown)} \(Tarnholm\) has no embedding: .*{len(tokenizer)}"
    ):
        check_tokens(model, larger, [("line 1", known), ("line 2", unknown)])
    with pytest.raises(InputError, match="line 1: token -1 has no embedding"):
        check_tokens(model, None, [("line 1", [3, -1])])


def test_the_pad_token_has_an_embedding(model: Any, tokenizer: Any, larger: Any) -> None:
    assert with_usable_pad(tokenizer, model) is tokenizer
    usable = with_usable_pad(larger, model)
    assert (usable.pad_token_id, larger.pad_token_id) == (larger.eos_token_id, len(tokenizer))
    rows = len(tokenizer)
    assert pad_token_within(tokenizer, rows) == tokenizer.pad_token_id
    assert pad_token_within(larger, rows) == larger.eos_token_id
    assert pad_token_within(larger, None) == larger.pad_token_id
    assert pad_token_within(None, rows) == 0
