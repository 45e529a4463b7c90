"""Greedy answers, batched."""

import copy
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import torch
from tqdm import tqdm
from transformers import GenerationConfig

from ngdiff.errors import InputError
from ngdiff.evaluation.batching import batches_by_tokens
from ngdiff.evaluation.context import context_length
from ngdiff.evaluation.eval_mode import eval_mode
from ngdiff.evaluation.padding import STEPS, padding_changes_answers
from ngdiff.evaluation.plain_outputs import plain_outputs
from ngdiff.modeling.vocabulary import embedding_rows, pad_token_within

logger = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Prompt:
    """What to go on from.

    Attributes:
        ids: tokens, at least one.
        limit: most new tokens, at least one.
        known: new tokens that are known already: a forward over a text that begins with the prompt shows what the
            model says as long as it says what stands there.
        expected: how many new tokens the answer may have; prompts of one batch should agree in it, since a batch
            runs until its last answer ends. It changes no answer.
    """

    ids: tuple[int, ...]
    limit: int
    known: tuple[int, ...] = ()
    expected: int = 0

    @property
    def length(self) -> int:
        """Tokens that the model is given, those that are known already among them."""
        return len(self.ids) + len(self.known)


# New token ids after each of some prompts; as many as its limit, fewer where an end token came first (it may be last).
Generator = Callable[[Sequence[Prompt]], list[list[int]]]


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

    Distinct prompts are run once, sorted by length, padded on the left (the attention mask comes from lengths) unless
    the model would then say something else (`PaddingCheck`), with a KV cache. Nothing of the model's own
    `generation_config` is used: no sampling, beams, penalties or forced tokens. An answer stops before the first end
    token, after `max_new_tokens`, or where the model's context is full, whichever is first; it is decoded without
    special tokens and stripped. Rows do not influence each other beyond rounding.

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
    starts = [tuple(prompt) or empty_prompt(tokenizer) for prompt in prompts]
    rooms = [room(start, max_new_tokens, limit, f"prompt {index}") for index, start in enumerate(starts)]
    distinct = [Prompt(*pair) for pair in dict.fromkeys(zip(starts, rooms, strict=True))]
    ends = end_tokens(tokenizer, end_ids)
    generator = greedy_generator(model, tokenizer, ends)
    check = PaddingCheck(model, tokenizer, limit)
    said: dict[tuple[int, ...], str] = {}
    with tqdm(total=len(distinct), desc=description, unit="row", disable=not show_progress) as bar:
        for batch in checked_batches(distinct, tokens_per_batch, limit, check):
            for index, new_ids in zip(batch, generator([distinct[i] for i in batch]), strict=True):
                said[distinct[index].ids] = decode(tokenizer, new_ids, ends).strip()
            bar.update(len(batch))
    return [said[start] for start in starts]


def room(start: Sequence[int], max_new_tokens: int, limit: int | None, name: str) -> int:
    """How many new tokens fit after a prompt into a context of `limit` tokens, at most `max_new_tokens`.

    Args:
        start: the prompt's token ids.
        max_new_tokens: the most that is wanted.
        limit: the model's context; None for no limit.
        name: how the message calls the prompt.

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
    """What an answer to nothing starts from: the begin token, else the end token.

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


def generation_batches(
    prompts: Sequence[Prompt], tokens_per_batch: int, limit: int | None, *, equal_lengths: bool = False
) -> list[list[int]]:
    """Prompts that are run together, what is `known` left out of their work; those with nothing left are in none.

    Sorted by how many tokens are still expected, then by length. In a batch every row takes as many steps as the
    longest of them: one that would leave the context by that is batched with its like.

    Args:
        prompts: what to go on from.
        tokens_per_batch: most tokens, prompt and answer together, of one batch.
        limit: the model's context; None for no limit.
        equal_lengths: only prompts of one length share a batch.
    """
    left = {index: prompt.limit - len(prompt.known) for index, prompt in enumerate(prompts)}
    left = {index: steps for index, steps in left.items() if steps > 0}
    if not left:
        return []
    most = max(left.values())
    groups: dict[tuple[int, int], list[int]] = {}
    for index, steps in left.items():
        start = prompts[index].length
        own = most if limit is None or start + most <= limit else steps
        groups.setdefault((own, start if equal_lengths else 0), []).append(index)
    batches: list[list[int]] = []
    for steps, start in sorted(groups):
        members = groups[steps, start]
        lengths = [prompts[i].length + steps for i in members]
        soon = [max(prompts[i].expected - len(prompts[i].known), 0) for i in members]
        found = batches_by_tokens(lengths, tokens_per_batch, first_by=soon)
        batches += [[members[place] for place in batch] for batch in found]
    return batches


class PaddingCheck:
    """Whether prompts of several lengths may share a batch: looked at once for a model, before it answers the first.

    Args:
        model: what generates.
        tokenizer: its tokenizer.
        limit: the model's context; None for no limit.
    """

    def __init__(self, model: Any, tokenizer: Any, limit: int | None) -> None:
        self._model, self._limit = model, limit
        self._config = _greedy_config(model, tokenizer, ends=None)
        self._equal_lengths: bool | None = None

    def needs_equal_lengths(self, prompts: Sequence[Prompt]) -> bool:
        """Looked at with the shortest and the longest of these prompts; a warning says what was found."""
        if self._equal_lengths is None:
            with generating(self._model, self._config):
                difference = padding_changes_answers(self._probe, [prompt.ids + prompt.known for prompt in prompts])
            self._equal_lengths = bool(difference)
            if difference:
                logger.warning(
                    "Prompts of one length only share a batch of generation, which takes longer: this model says "
                    "something else after a prompt with padding in front (%s).",
                    difference,
                )
        return self._equal_lengths

    def _probe(self, prompts: Sequence[Sequence[int]], pad: int) -> tuple[torch.Tensor, torch.Tensor]:
        longest = max(len(prompt) for prompt in prompts)
        steps = STEPS if self._limit is None else max(1, min(STEPS, self._limit - longest))
        ids, mask = _padded_in_front(prompts, pad)
        config = copy.deepcopy(self._config)
        config.update(max_new_tokens=steps, output_logits=True, return_dict_in_generate=True)
        _forget_last_batch(self._model)
        device = self._model.device
        said = self._model.generate(input_ids=ids.to(device), attention_mask=mask.to(device), generation_config=config)
        return said.sequences[:, longest:].cpu(), torch.stack(said.logits, dim=1).cpu()


def checked_batches(
    prompts: Sequence[Prompt], tokens_per_batch: int, limit: int | None, check: PaddingCheck | None
) -> list[list[int]]:
    """`generation_batches`, of prompts of one length each where the model needs that."""
    batches = generation_batches(prompts, tokens_per_batch, limit)
    if check is None or all(len({prompts[i].length for i in batch}) == 1 for batch in batches):
        return batches
    open_ones = [prompts[i] for batch in batches for i in batch]
    if not check.needs_equal_lengths(open_ones):
        return batches
    return generation_batches(prompts, tokens_per_batch, limit, equal_lengths=True)


def _greedy_config(model: Any, tokenizer: Any, ends: frozenset[int] | None) -> GenerationConfig:
    # The pad id only fills places that are masked or cut off, so any id will do that the model has an embedding for.
    return GenerationConfig(
        do_sample=False,
        num_beams=1,
        use_cache=True,
        pad_token_id=pad_token_within(tokenizer, embedding_rows(model)),
        bos_token_id=tokenizer.bos_token_id,
        eos_token_id=sorted(ends or ()) or None,
    )


def greedy_generator(model: Any, tokenizer: Any, ends: frozenset[int]) -> Generator:
    """New tokens from a model in memory, by `model.generate` with a configuration of our own."""
    greedy = _greedy_config(model, tokenizer, ends)

    def generate(prompts: Sequence[Prompt]) -> list[list[int]]:
        starts = [prompt.ids + prompt.known for prompt in prompts]
        left = [prompt.limit - len(prompt.known) for prompt in prompts]
        with generating(model, greedy):
            _forget_last_batch(model)
            found = _generate(model, starts, greedy, max(left))
        return [[*p.known, *ids[:own]] for p, ids, own in zip(prompts, found, left, strict=True)]

    return generate


@contextmanager
def generating(model: Any, config: GenerationConfig) -> Iterator[None]:
    """Within, `model.generate` is greedy, and nothing of the model's own settings has a say."""
    with plain_outputs(model), eval_mode(model), _own_generation_config(model, config):
        yield


def _forget_last_batch(model: Any) -> None:
    """Clear what RecurrentGemma keeps in its layers: it would go on from it after a prompt of one token."""
    inner = model.get_base_model() if hasattr(model, "get_base_model") else model
    if getattr(inner, "_is_stateful", False):
        model(input_ids=torch.zeros(1, 1, dtype=torch.long, device=model.device), use_cache=False)


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
    ids, mask = _padded_in_front(prompts, 0)
    config = copy.deepcopy(greedy)
    config.max_new_tokens = max_new_tokens
    output = model.generate(
        input_ids=ids.to(model.device), attention_mask=mask.to(model.device), generation_config=config
    )
    return output[:, ids.shape[1] :].tolist()


def _padded_in_front(prompts: Sequence[Sequence[int]], pad: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Token ids and attention mask, (B, longest prompt)."""
    width = max(len(prompt) for prompt in prompts)
    ids = torch.full((len(prompts), width), pad, dtype=torch.long)
    mask = torch.zeros_like(ids)
    for row, prompt in enumerate(prompts):
        ids[row, width - len(prompt) :] = torch.as_tensor(prompt)
        mask[row, width - len(prompt) :] = 1
    return ids, mask


def decode(tokenizer: Any, new_ids: Sequence[int], ends: frozenset[int]) -> str:
    """The text before the first end token, without special tokens."""
    end = next((place for place, token_id in enumerate(new_ids) if token_id in ends), len(new_ids))
    # Spaces are left as the model made them: clean-up would turn "do n't" into words it never said.
    return str(tokenizer.decode(list(new_ids[:end]), skip_special_tokens=True, clean_up_tokenization_spaces=False))
