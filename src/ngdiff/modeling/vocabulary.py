"""Tokens and embeddings: a tokenizer may have tokens without an embedding, as long as no row uses one."""

import copy
from collections.abc import Iterable, Sequence
from typing import Any

from torch import nn

from ngdiff.errors import InputError


def input_embedding(model: nn.Module) -> Any:
    """The module that embeds tokens; None if the model has none, or transformers does not know which it is."""
    inner: Any = getattr(model, "module", model)
    try:
        return inner.get_input_embeddings()
    # A module without the method says the first, and transformers the second where a model has no such module.
    except (AttributeError, NotImplementedError):
        return None


def embedding_rows(model: nn.Module) -> int | None:
    """Number of tokens that a model has an embedding for; None where it has no such module, or one of another kind."""
    rows = getattr(input_embedding(model), "num_embeddings", None)
    return int(rows) if isinstance(rows, int) else None


def check_vocabulary(model: nn.Module, tokenizer: Any) -> None:
    """Refuse a tokenizer of another model: its own vocabulary, added tokens aside, is larger than the model's.

    Tokens that were added without resizing the model are looked for where they are used: `check_tokens`.

    Raises:
        InputError: the tokenizer has more tokens of its own than the model has rows in its embedding matrix.
    """
    rows, own = embedding_rows(model), getattr(tokenizer, "vocab_size", None)
    if rows is not None and isinstance(own, int) and own > rows:
        raise InputError(
            f"The tokenizer has {own} tokens and the model {rows} embeddings: they do not belong together; give the "
            "model's own tokenizer."
        )


def check_tokens(model: nn.Module, tokenizer: Any, sequences: Iterable[tuple[str, Sequence[int]]]) -> None:
    """Refuse tokens for which the model has no embedding.

    Args:
        model: A causal language model.
        tokenizer: For the name of the token; None where there is none.
        sequences: Pairs of a row's name for messages and its token ids.

    Raises:
        InputError: names the first row with such a token, and the token.
    """
    rows = embedding_rows(model)
    if rows is None:
        return
    for name, ids in sequences:
        if len(ids) and (max(ids) >= rows or min(ids) < 0):
            beyond = next(int(token) for token in ids if not 0 <= token < rows)
            raise InputError(f"{name}: {describe_token(tokenizer, beyond)} has no embedding: {_what_to_do(rows)}")


def describe_token(tokenizer: Any, token: int) -> str:
    """A token by its number; by its text, too, where it was added to the vocabulary by name."""
    added = getattr(tokenizer, "added_tokens_decoder", {})
    return f"token {token}" + (f" ({added[token]})" if token in added else "")


def _what_to_do(rows: int) -> str:
    return (
        f"the model has {rows}, numbered from 0. Tokens were added to the tokenizer and the model was not resized: "
        "give the tokenizer that the model was trained with, or call "
        "model.resize_token_embeddings(len(tokenizer)) and train the new tokens first."
    )


def with_usable_pad(tokenizer: Any, model: nn.Module) -> Any:
    """The tokenizer; where the model has no embedding for its pad token, a copy that pads with its end token.

    A Trainer writes the tokenizer's pad token into the model's config, and with one beyond the embeddings the model
    could not be loaded again.
    """
    rows, pad = embedding_rows(model), getattr(tokenizer, "pad_token_id", None)
    if rows is None or pad is None or pad < rows:
        return tokenizer
    padded = copy.deepcopy(tokenizer)
    padded.pad_token = padded.eos_token
    return padded


def pad_token_within(tokenizer: Any, rows: int | None) -> int:
    """An id to pad with: the tokenizer's pad token, else its end token, else 0; the first that has an embedding.

    Attention masks and labels come from lengths, so that it does not matter which.

    Args:
        tokenizer: May be None.
        rows: As of `embedding_rows`.
    """
    ids = (getattr(tokenizer, "pad_token_id", None), getattr(tokenizer, "eos_token_id", None))
    return next((i for i in ids if i is not None and (rows is None or 0 <= i < rows)), 0)
