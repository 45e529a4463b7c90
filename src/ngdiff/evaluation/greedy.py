"""Greedy generation from a model in memory, with a cache and left padding where the model supports them."""

import copy
import logging
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import Tensor
from transformers import GenerationConfig, GenerationMixin

from ngdiff.errors import InputError
from ngdiff.evaluation.eval_mode import eval_mode
from ngdiff.evaluation.padding import (
    STEPS,
    cache_changes_answers,
    neighbours_change_answers,
    padding_changes_answers,
)
from ngdiff.evaluation.plain_outputs import plain_outputs
from ngdiff.evaluation.prompts import Prompt, generation_batches
from ngdiff.modeling.load_errors import LIBRARY_ERRORS, reason_of
from ngdiff.modeling.vocabulary import embedding_rows, pad_token_within

logger = logging.getLogger(__name__)


class GreedyGenerator:
    """New token ids after each of some prompts, by `model.generate` with a configuration of our own.

    Before the first answer two things are checked on prompts of the run: whether the model with a cache says what it
    says in one pass over the same tokens, and whether left padding changes what it says. If so, the cache is not used,
    or only prompts of one length share a batch, or none do; a warning says which.

    Args:
        model: What generates.
        tokenizer: Its tokenizer.
        ends: Tokens that end an answer.
        limit: The model's context; None for no limit.

    Raises:
        InputError: from a call: the model cannot generate, or generates something else than one pass predicts.
    """

    choice: Mapping[str, Any] = {}  # how a token is chosen, where that is not the most probable one
    advice = "--no-generate measures everything else"

    def __init__(self, model: Any, tokenizer: Any, ends: frozenset[int], limit: int | None) -> None:
        self._model, self._limit = model, limit
        # Padding is masked or cut off: any id will do that the model has an embedding for.
        self._config = GenerationConfig(
            do_sample=False,
            num_beams=1,
            use_cache=True,
            pad_token_id=pad_token_within(tokenizer, embedding_rows(model)),
            bos_token_id=tokenizer.bos_token_id,
            eos_token_id=sorted(ends) or None,
        )
        inner = model.get_base_model() if hasattr(model, "get_base_model") else model
        is_theirs = isinstance(inner, GenerationMixin)  # a model's own `generate` may not know the options
        self._cache_is_checked = not is_theirs
        # Whether prompts may be left-padded, and whether they may share a batch; None: not checked yet.
        self._padding: bool | None = None if is_theirs else True
        self._neighbours: bool | None = None if is_theirs else True

    def __call__(self, prompts: Sequence[Prompt]) -> list[list[int]]:
        """New tokens for each prompt: as many as its limit, or up to and including an end token."""
        starts = [prompt.ids + prompt.known for prompt in prompts]
        left = [prompt.limit - len(prompt.known) for prompt in prompts]
        with self._generating():
            self._check_cache(starts)
            ids, output = self._generate(starts, max_new_tokens=max(left), **self.choice)
        found = output[:, ids.shape[1] :].tolist()
        return [[*prompt.known, *new[:own]] for prompt, new, own in zip(prompts, found, left, strict=True)]

    def batches(self, prompts: Sequence[Prompt], tokens_per_batch: int) -> list[list[int]]:
        """`generation_batches`; with prompts of one length in each, or a single prompt, if the model needs that."""
        batches = generation_batches(prompts, tokens_per_batch, self._limit)
        starts = [prompts[i].ids + prompts[i].known for batch in batches for i in batch]
        if any(len({prompts[i].length for i in batch}) > 1 for batch in batches):
            if self._padding_is_safe(starts):
                return batches
            batches = generation_batches(prompts, tokens_per_batch, self._limit, equal_lengths=True)
        if all(len(batch) == 1 for batch in batches) or self._batching_is_safe(starts):
            return batches
        return generation_batches(prompts, 1, self._limit)

    def _padding_is_safe(self, starts: Sequence[Sequence[int]]) -> bool:
        if self._padding is None:
            with self._generating():
                self._check_cache(starts)
                difference = padding_changes_answers(self._probe, starts)
            self._padding = not difference
            if difference:
                logger.warning(
                    "Only prompts of equal length share a batch, which takes longer: left padding changes "
                    "what this model says (%s).",
                    difference,
                )
            else:
                self._neighbours = True  # it was not alone
        return self._padding

    def _batching_is_safe(self, starts: Sequence[Sequence[int]]) -> bool:
        if self._neighbours is None:
            with self._generating():
                self._check_cache(starts)
                difference = neighbours_change_answers(self._probe, starts)
            self._neighbours = not difference
            if difference:
                logger.warning(
                    "Answers are generated one at a time, which takes longer: another prompt in the batch changes what "
                    "this model says (%s).",
                    difference,
                )
        return self._neighbours

    def _check_cache(self, starts: Sequence[Sequence[int]]) -> None:
        if self._cache_is_checked:
            return
        start = min(starts, key=len)
        difference = self._cache_difference(start)
        if difference:
            self._config.use_cache = False
            without = self._cache_difference(start)
            if without:
                raise InputError(
                    f"This model cannot generate answers: token by token, {without} in one pass over the same tokens; "
                    + self.advice
                )
            logger.warning(
                "Answers are generated without a cache, which takes longer: with it, %s without.", difference
            )
        self._cache_is_checked = True

    def _cache_difference(self, start: Sequence[int]) -> str:
        try:
            tokens, logits = self._probe([start], 0)
            ids = torch.tensor([[*start, *tokens[0, :-1].tolist()]], device=self._model.device)
            whole = self._model(input_ids=ids, attention_mask=torch.ones_like(ids), use_cache=False).logits
        except torch.OutOfMemoryError:
            raise
        except LIBRARY_ERRORS as error:
            return f"transformers ends in an error ({reason_of(error)}), which it does not"
        return cache_changes_answers(logits[0], whole[0, len(start) - 1 :].cpu())

    def _probe(self, starts: Sequence[Sequence[int]], pad: int) -> tuple[Tensor, Tensor]:
        """New tokens, (B, n), and their logits, (B, n, V), after prompts with `pad` in front of shorter ones.

        The logits have the type in which the model computes, whose rounding they carry.
        """
        longest = max(len(start) for start in starts)
        steps = STEPS if self._limit is None else max(1, min(STEPS, self._limit - longest))
        asked = {"max_new_tokens": steps, "eos_token_id": None}
        with _autocast_types(self._model) as types:
            _, said = self._generate(starts, pad, output_logits=True, return_dict_in_generate=True, **asked)
        logits = torch.stack(said.logits, dim=1).cpu()
        return said.sequences[:, longest:].cpu(), logits.to(next(iter(types), logits.dtype))

    def _generate(self, starts: Sequence[Sequence[int]], pad: int = 0, **options: Any) -> tuple[Tensor, Any]:
        """Token ids as they were given, (B, longest), and what `model.generate` makes of them."""
        width = max(len(start) for start in starts)
        ids = torch.full((len(starts), width), pad, dtype=torch.long)
        mask = torch.zeros_like(ids)
        for row, start in enumerate(starts):
            ids[row, width - len(start) :] = torch.as_tensor(start)
            mask[row, width - len(start) :] = 1
        config = copy.deepcopy(self._config)
        config.update(**options)
        device = self._model.device
        self._forget_last_batch()
        said = self._model.generate(input_ids=ids.to(device), attention_mask=mask.to(device), generation_config=config)
        return ids, said

    def _forget_last_batch(self) -> None:
        """Clear what RecurrentGemma keeps in its layers: it would continue from it after a prompt of one token."""
        inner = self._model.get_base_model() if hasattr(self._model, "get_base_model") else self._model
        if getattr(inner, "_is_stateful", False):
            self._model(input_ids=torch.zeros(1, 1, dtype=torch.long, device=self._model.device), use_cache=False)

    @contextmanager
    def _generating(self) -> Iterator[None]:
        with plain_outputs(self._model), eval_mode(self._model), _own_config(self._model, self._config):
            yield


@contextmanager
def _autocast_types(model: Any) -> Iterator[set[torch.dtype]]:
    """Collects the types to which autocast casts inside the model's forward pass.

    accelerate enables autocast there for mixed precision, and returns the logits as float32.
    """
    types: set[torch.dtype] = set()
    kind = model.device.type

    def note(*_: Any) -> None:
        if torch.is_autocast_enabled(kind):
            types.add(torch.get_autocast_dtype(kind))

    hooks = [child.register_forward_pre_hook(note) for child in model.children()]
    try:
        yield types
    finally:
        for hook in hooks:
            hook.remove()


@contextmanager
def _own_config(model: Any, config: GenerationConfig) -> Iterator[None]:
    """`config` in place of the model's own, which `generate` would merge in wherever a value is not given.

    A PEFT wrapper hands its configuration to the model inside, so both are set and both restored.
    """
    holders = [model, *([model.get_base_model()] if hasattr(model, "get_base_model") else [])]
    previous = [(holder, getattr(holder, "generation_config", None)) for holder in holders]
    for holder in holders:
        holder.generation_config = config
    try:
        yield
    finally:
        for holder, own in previous:
            holder.generation_config = own
