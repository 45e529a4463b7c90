"""Greedy answers, batched."""

import copy
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from tqdm import tqdm
from transformers import GenerationConfig

from ngdiff.errors import InputError
from ngdiff.evaluation.batching import batches_by_tokens
from ngdiff.evaluation.context import context_length
from ngdiff.evaluation.eval_mode import eval_mode


def generate_answers(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[Sequence[int]],
    *,
    max_new_tokens: int,
    end_ids: Sequence[int] = (),
    tokens_per_batch: int = 4096,
    show_progress: bool = True,
    description: str = "answers",
) -> list[str]:
    """What the model says after each prompt: at every step the most probable token.

    Distinct prompts are run once, sorted by length, padded on the left (the attention mask comes from
    lengths), with a KV cache. Nothing of the model's own `generation_config` is used: no sampling, beams,
    penalties or forced tokens. An answer stops before the first end token, after `max_new_tokens`, or where
    the model's context is full, whichever is first; it is decoded without special tokens and stripped. Rows
    do not influence each other beyond rounding.

    Args:
        prompts: token ids. An empty prompt starts from the tokenizer's begin token, else its end token.
        end_ids: end tokens besides the tokenizer's own.
        tokens_per_batch: most tokens, prompt and answer together, of one batch.

    Raises:
        InputError: a prompt that leaves no room for an answer, `max_new_tokens` below 1, or an empty prompt
            with a tokenizer that has neither a begin nor an end token.
    """
    if max_new_tokens < 1:
        raise InputError(f"max_new_tokens is {max_new_tokens}; an answer needs at least 1")
    limit = context_length(model)
    starts = [tuple(prompt) or _empty_prompt(tokenizer) for prompt in prompts]
    for index, start in enumerate(starts):
        if limit is not None and len(start) >= limit:
            raise InputError(
                f"prompt {index} has {len(start)} tokens and the model's context holds {limit}, which leaves "
                "no room for an answer; shorten the prompt"
            )
    distinct = list(dict.fromkeys(starts))
    # Rows near the end of the context may say less; in a batch with others they would stop those as well.
    room = [max_new_tokens if limit is None else min(max_new_tokens, limit - len(start)) for start in distinct]
    ends = {*end_ids, *([] if tokenizer.eos_token_id is None else [tokenizer.eos_token_id])}
    greedy = _greedy(tokenizer, ends)
    said: dict[tuple[int, ...], str] = {}
    with (
        eval_mode(model),
        _own_generation_config(model, greedy),
        tqdm(total=len(distinct), desc=description, unit="row", disable=not show_progress) as bar,
    ):
        for size in sorted(set(room)):
            group = [start for start, own in zip(distinct, room, strict=True) if own == size]
            for batch in batches_by_tokens([len(start) + size for start in group], tokens_per_batch):
                members = [group[i] for i in batch]
                for start, new_ids in zip(members, _generate(model, members, greedy, size), strict=True):
                    said[start] = _decode(tokenizer, new_ids, ends)
                bar.update(len(members))
    return [said[start] for start in starts]


def _empty_prompt(tokenizer: Any) -> tuple[int, ...]:
    for token_id in (tokenizer.bos_token_id, tokenizer.eos_token_id):
        if token_id is not None:
            return (token_id,)
    raise InputError(
        "an empty prompt needs a tokenizer with a begin or an end token to start from; this one has neither"
    )


def _greedy(tokenizer: Any, ends: set[int]) -> GenerationConfig:
    # The pad id only fills places that are masked or cut off, so any id will do.
    candidates = (tokenizer.pad_token_id, tokenizer.eos_token_id, 0)
    return GenerationConfig(
        do_sample=False,
        num_beams=1,
        use_cache=True,
        pad_token_id=next(token_id for token_id in candidates if token_id is not None),
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=sorted(ends) or None,
    )


@contextmanager
def _own_generation_config(model: Any, config: GenerationConfig) -> Iterator[None]:
    """`config` in place of the model's own, which `generate` would merge in wherever a value is not given.

    A PEFT wrapper hands its configuration to the model inside, so both are set and both restored.
    """
    holders = [model, *([model.get_base_model()] if hasattr(model, "get_base_model") else [])]
    previous = [(holder, holder.generation_config) for holder in holders]
    for holder in holders:
        holder.generation_config = config
    try:
        yield
    finally:
        for holder, own in previous:
            holder.generation_config = own


def _generate(
    model: Any, prompts: Sequence[tuple[int, ...]], greedy: GenerationConfig, max_new_tokens: int
) -> list[list[int]]:
    width = max(len(prompt) for prompt in prompts)
    ids = torch.zeros(len(prompts), width, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        ids[row, width - len(prompt) :] = torch.as_tensor(prompt)
        mask[row, width - len(prompt) :] = 1
    config = copy.deepcopy(greedy)
    config.max_new_tokens = max_new_tokens
    output = model.generate(
        input_ids=ids.to(model.device), attention_mask=mask.to(model.device), generation_config=config
    )
    return output[:, width:].tolist()


def _decode(tokenizer: Any, new_ids: list[int], ends: set[int]) -> str:
    end = next((place for place, token_id in enumerate(new_ids) if token_id in ends), len(new_ids))
    # Spaces are left as the model made them: clean-up would turn "do n't" into words it never said.
    text = tokenizer.decode(new_ids[:end], skip_special_tokens=True, clean_up_tokenization_spaces=False)
    return text.strip()
