"""Sampled answers, batched: each token drawn from what the model says at temperature 1."""

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch

from ngdiff.evaluation.batching import TOKENS_PER_BATCH
from ngdiff.evaluation.context import context_length
from ngdiff.evaluation.generation import decode, end_tokens
from ngdiff.evaluation.greedy import GreedyGenerator
from ngdiff.evaluation.prompts import Prompt


class SamplingGenerator(GreedyGenerator):
    """As `GreedyGenerator`, but new tokens are drawn from the whole distribution, by torch's global generator."""

    choice: Mapping[str, Any] = {
        "do_sample": True,
        "temperature": 1.0,
        "top_k": 0,
        "top_p": 1.0,
        "remove_invalid_values": True,  # the checks of the run detect a model that gives NaN
    }
    advice = "choose a forget objective that samples no answers"


def sample_answers(
    model: Any,
    tokenizer: Any,
    prompts: Sequence[Sequence[int]],
    *,
    max_new_tokens: int,
    seed: int,
    accept: Callable[[int, str], bool],
    tries: int,
    end_ids: Sequence[int] = (),
) -> list[str | None]:
    """One answer to each prompt; equal prompts get answers of their own.

    The same arguments give the same answers on the same machine. No generator of the process is moved.

    Args:
        model: Generates.
        tokenizer: Its tokenizer.
        prompts: Token ids, at least one in each.
        max_new_tokens: Most tokens of an answer; fewer where the model's context is full.
        seed: Of the draws.
        accept: `(number of the prompt, answer) -> whether it will do`; what will not is drawn again.
        tries: How many times at most an answer is drawn.
        end_ids: End tokens in addition to the tokenizer's own.

    Returns:
        The answers, stripped; None where no try would do, or where a prompt leaves no room.

    Raises:
        InputError: a model that cannot generate.
    """
    limit, ends = context_length(model), end_tokens(tokenizer, end_ids)
    rooms = [max_new_tokens if limit is None else min(max_new_tokens, limit - len(ids)) for ids in prompts]
    found: list[str | None] = [None] * len(prompts)
    generate = SamplingGenerator(model, tokenizer, ends, limit)
    missing = [i for i, room in enumerate(rooms) if room > 0]
    with _seeded(seed, model.device):
        for _ in range(tries):
            asked = [Prompt(tuple(prompts[i]), rooms[i]) for i in missing]
            for batch in generate.batches(asked, TOKENS_PER_BATCH):
                for place, new_ids in zip(batch, generate([asked[j] for j in batch]), strict=True):
                    answer = decode(tokenizer, new_ids, ends).strip()
                    if accept(missing[place], answer):
                        found[missing[place]] = answer
            missing = [i for i in missing if found[i] is None]
    return found


@contextmanager
def _seeded(seed: int, device: torch.device) -> Iterator[None]:
    """Within the context, torch draws from `seed`; afterwards its earlier state is restored."""
    elsewhere: dict[str, Any] = {} if device.type == "cpu" else {"device_type": device.type}
    with torch.random.fork_rng(devices=[device] if elsewhere else [], **elsewhere):
        torch.manual_seed(seed)
        yield
