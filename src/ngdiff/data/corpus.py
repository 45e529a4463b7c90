"""A running text in chunks of equal length, as MUSE (Shi et al. 2024, arXiv 2407.06460) trains on it."""

from collections.abc import Sequence
from typing import Any

from ngdiff.data.rows import Row
from ngdiff.data.tokens import tokens_of
from ngdiff.errors import InputError

JOINT = "\n\n"


def corpus_chunks(rows: Sequence[Row], tokenizer: Any, *, max_length: int) -> list[list[int]]:
    """The passages joined by blank lines, tokenised as one text and cut into consecutive chunks.

    Each chunk is the tokenizer's begin token, if it has one, and the next `max_length - 1` tokens. The last chunk is
    filled up from the start of the first, including its begin token; a text shorter than one chunk is not filled up.
    Every token is a label, except the first of a chunk, which has no predecessor. There is no end token. With the Llama
    tokenizer and `max_length` 2048, these are the chunks of MUSE-News.

    Args:
        rows: The passages, in order.
        tokenizer: A transformers tokenizer.
        max_length: Tokens of a chunk, at least 2.

    Returns:
        Token ids of each chunk.

    Raises:
        InputError: a set that mixes passages with other rows, or `max_length` below 2.
    """
    if max_length < 2:
        raise InputError(f"--max-length must be at least 2, found {max_length}.")
    for row in rows:
        if row.kind != "corpus":
            raise InputError(f"{row.origin or 'a row'}: a {row.kind} row among the passages of a running text.")
    text = JOINT.join(row.answer for row in rows)
    if tokenizer.is_fast:
        ids = next(tokens_of([text], tokenizer, special=False)).ids
    else:
        ids = list(tokenizer(text, add_special_tokens=False, verbose=False)["input_ids"])
    front = [] if tokenizer.bos_token_id is None else [int(tokenizer.bos_token_id)]
    size = max_length - len(front)
    chunks = [front + ids[start : start + size] for start in range(0, len(ids), size)]
    if len(chunks) > 1:
        chunks[-1] = (chunks[-1] + chunks[0])[:max_length]
    return chunks
