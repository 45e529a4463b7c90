"""A quick measure of what a model still says, for the log of a run: ROUGE-L recall of a few answers of each set."""

import random
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from torch import nn

from ngdiff.data.encode import IGNORED
from ngdiff.errors import InputError
from ngdiff.evaluation.batching import TOKENS_PER_BATCH
from ngdiff.evaluation.context import context_length
from ngdiff.evaluation.generation import decode, empty_prompt, end_tokens, room
from ngdiff.evaluation.greedy import GreedyGenerator
from ngdiff.evaluation.parts import PROMPT_TOKENS
from ngdiff.evaluation.prompts import Prompt
from ngdiff.metrics.rouge import rouge
from ngdiff.metrics.words import Words, has_words

ROWS = 16  # of a set
MOST_TOKENS = 128  # of an answer


class _Asked(NamedTuple):
    prompt: tuple[int, ...]
    reference: str
    tokens: int  # of the reference


class QuickAnswers:
    """ROUGE-L recall, stemmer on, of greedy answers to up to `ROWS` rows of each set, as `Verbmem` and `Utility` are.

    The rows are evenly spread over their set. An answer has at most as many tokens as the reference, of which the first
    `MOST_TOKENS` count. A row without a prompt is prompted with its first 50 tokens, of fewer than 100 with half.

    It changes nothing of a run: no generator of the process is moved, and the model's modes are restored.

    Args:
        tokenizer: Of the model.
        sets: Name of a number -> encoded rows, at least one.
        end_ids: End tokens in addition to the tokenizer's own.

    Raises:
        InputError: no row of a set has an answer.
    """

    def __init__(self, tokenizer: Any, sets: Mapping[str, Sequence[Mapping[str, Any]]], end_ids: Sequence[int]) -> None:
        self._tokenizer, self._ends = tokenizer, end_tokens(tokenizer, end_ids)
        self._asked = {name: self._of(rows) for name, rows in sets.items()}
        self._generator: tuple[int, GreedyGenerator] | None = None
        for name, asked in self._asked.items():
            if not asked:
                raise InputError(
                    f"--eval-generate-steps, --utility-floor: no row has an answer that {name} could be measured on"
                )

    def __call__(self, model: nn.Module) -> dict[str, float]:
        """The number of each set.

        Raises:
            InputError: the model cannot generate.
        """
        state = random.getstate()  # modules that rouge_score imports draw from it
        try:
            return {name: self._recall(model, rows, name) for name, rows in self._asked.items()}
        finally:
            random.setstate(state)

    def _recall(self, model: nn.Module, rows: Sequence[_Asked], name: str) -> float:
        """Mean ROUGE-L recall of the answers to some rows."""
        limit, generate = context_length(model), self._generator_of(model)
        prompts = [Prompt(row.prompt, room(row.prompt, row.tokens, limit, name)) for row in rows]
        scores = []
        for batch in generate.batches(prompts, TOKENS_PER_BATCH):
            for place, ids in zip(batch, generate([prompts[i] for i in batch]), strict=True):
                answer, reference = decode(self._tokenizer, ids, self._ends).strip(), rows[place].reference
                words: Words = "rouge-score" if has_words(reference) else "unicode"
                scores.append(rouge(reference, answer, words=words))
        return sum(scores) / len(scores)

    def _generator_of(self, model: nn.Module) -> GreedyGenerator:
        """One for the whole run, so that what it checks is checked and said once."""
        if self._generator is None or self._generator[0] != id(model):
            self._generator = id(model), GreedyGenerator(model, self._tokenizer, self._ends, context_length(model))
        return self._generator[1]

    def _of(self, rows: Sequence[Mapping[str, Any]]) -> list[_Asked]:
        count = min(len(rows), ROWS)
        found = [self._asked_of(rows[i * len(rows) // count]) for i in range(count)]
        return [asked for asked in found if asked.reference]

    def _asked_of(self, row: Mapping[str, Any]) -> _Asked:
        ids, labels = list(row["input_ids"]), list(row["labels"])
        own = [place for place, label in enumerate(labels) if label != IGNORED]
        start = own[0] if own else len(ids)
        if start <= 1:  # no prompt, or the begin token alone
            start += min(PROMPT_TOKENS, (len(ids) - start) // 2)
        answer = [ids[place] for place in own if place >= start][:MOST_TOKENS]
        prompt = tuple(ids[:start]) or empty_prompt(self._tokenizer)
        return _Asked(prompt, decode(self._tokenizer, answer, self._ends).strip(), len(answer))
