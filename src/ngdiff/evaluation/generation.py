"""Greedy answers, batched."""

from collections.abc import Sequence
from typing import Any

from tqdm import tqdm

from ngdiff.errors import InputError
from ngdiff.evaluation.batching import TOKENS_PER_BATCH
from ngdiff.evaluation.context import context_length
from ngdiff.evaluation.greedy import GreedyGenerator
from ngdiff.evaluation.prompts import Prompt


def generate_answers(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[Sequence[int]],
    *,
    max_new_tokens: int,
    end_ids: Sequence[int] = (),
    tokens_per_batch: int = TOKENS_PER_BATCH,
    show_progress: bool = True,
    description: str = "answers",
) -> list[str]:
    """The model's answer to each prompt: at every step the most probable token.

    Distinct prompts are run once, sorted by length, padded on the left (the attention mask comes from lengths) unless
    the model would then say something else (`GreedyGenerator`), with a KV cache. Nothing of the model's own
    `generation_config` is used: no sampling, beams, penalties or forced tokens. An answer stops before the first end
    token, after `max_new_tokens`, or where the model's context is full, whichever is first; it is decoded without
    special tokens and stripped. Rows do not influence each other beyond rounding.

    Args:
        prompts: Token ids. An empty prompt starts from the tokenizer's begin token, else its end token.
        end_ids: End tokens in addition to the tokenizer's own.
        tokens_per_batch: Most tokens, prompt and answer together, of one batch.

    Raises:
        InputError: a prompt that leaves no room for an answer, `max_new_tokens` below 1, or an empty prompt
            with a tokenizer that has neither a begin nor an end token.
    """
    if max_new_tokens < 1:
        raise InputError(f"max_new_tokens is {max_new_tokens}; an answer needs at least 1")
    limit = context_length(model)
    starts = [tuple(prompt) or empty_prompt(tokenizer) for prompt in prompts]
    rooms = [room(start, max_new_tokens, limit, f"prompt {index}") for index, start in enumerate(starts)]
    distinct = [Prompt(*pair) for pair in dict.fromkeys(zip(starts, rooms, strict=True))]
    ends = end_tokens(tokenizer, end_ids)
    generator = GreedyGenerator(model, tokenizer, ends, limit)
    said: dict[tuple[int, ...], str] = {}
    with tqdm(total=len(distinct), desc=description, unit="row", disable=not show_progress) as bar:
        for batch in generator.batches(distinct, tokens_per_batch):
            for index, new_ids in zip(batch, generator([distinct[i] for i in batch]), strict=True):
                said[distinct[index].ids] = decode(tokenizer, new_ids, ends).strip()
            bar.update(len(batch))
    return [said[start] for start in starts]


def room(start: Sequence[int], max_new_tokens: int, limit: int | None, name: str) -> int:
    """How many new tokens fit after a prompt into a context of `limit` tokens, at most `max_new_tokens`.

    Args:
        start: The prompt's token ids.
        max_new_tokens: The most that is wanted.
        limit: The model's context; None for no limit.
        name: How the message calls the prompt.

    Raises:
        InputError: no room at all.
    """
    if limit is None:
        return max_new_tokens
    if len(start) >= limit:
        raise InputError(
            f"{name} has {len(start)} tokens and the model's context holds {limit}, which leaves no room for an "
            "answer; shorten the prompt"
        )
    return min(max_new_tokens, limit - len(start))


def empty_prompt(tokenizer: Any) -> tuple[int, ...]:
    """The start of an answer to an empty prompt: the begin token, else the end token.

    Raises:
        InputError: the tokenizer has neither.
    """
    for token_id in (tokenizer.bos_token_id, tokenizer.eos_token_id):
        if token_id is not None:
            return (token_id,)
    raise InputError(
        "an empty prompt needs a tokenizer with a begin or an end token to start from; this one has neither"
    )


def end_tokens(tokenizer: Any, others: Sequence[int] = ()) -> frozenset[int]:
    """Ids that end an answer: the tokenizer's end token and `others`."""
    return frozenset([*others, *([] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id])])


def decode(tokenizer: Any, new_ids: Sequence[int], ends: frozenset[int]) -> str:
    """The text before the first end token, without special tokens."""
    end = next((place for place, token_id in enumerate(new_ids) if token_id in ends), len(new_ids))
    # Spaces are left unchanged: clean-up would turn "do n't" into words it never said.
    return str(tokenizer.decode(list(new_ids[:end]), skip_special_tokens=True, clean_up_tokenization_spaces=False))
