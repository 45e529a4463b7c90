"""Forget rows with other answers that the model itself makes up before unlearning (AltPO)."""

import logging
from collections.abc import Sequence
from typing import Any

from ngdiff.data import Row, Template
from ngdiff.data.encode import encode, end_token_ids, prompt_token_ids
from ngdiff.errors import InputError
from ngdiff.evaluation.sampling import sample_answers
from ngdiff.plurals import number_of, verb
from ngdiff.tasks.alternates import AlternateRows, EncodeAnswers

logger = logging.getLogger(__name__)

PER_ROW = 5
MAX_NEW_TOKENS = 200
TRIES = 4

REQUEST = (
    "Here is a question with its answer. Make up another answer to it: the same style and about the same length, but "
    "other facts in place of those that it states, invented and yet believable. Write that answer alone.\n\n"
    "Question: {question}\nAnswer: {answer}\nAnother answer:"
)


class SampledRows(AlternateRows):
    """Encoded rows with answers that the model makes up, `PER_ROW` for each.

    The model is shown question and answer and asked for other plausible facts, at temperature 1: as a chat where the
    tokenizer has a chat template, else as plain text, of whose continuation the first line counts.

    Before `take` gets what `draw` returned, each row's own answer takes their place, as in an estimate.

    Source: Mekala et al. 2025 (COLING; arXiv 2409.13474). The wording of the request is ours.

    Args:
        rows: The forget rows.
        refusals: Replacements for an answer that could not be sampled.
        encode: Encodes rows with other answers.
        tokenizer: Of the model.
        template: How rows become text.

    Raises:
        InputError: a row whose question leaves no room for an answer.
    """

    def __init__(
        self, rows: Sequence[Row], refusals: Sequence[str], encode: EncodeAnswers, tokenizer: Any, template: Template
    ) -> None:
        super().__init__(rows, [refusals] * len(rows), encode)
        self.answers = [[row.answer] * PER_ROW for row in self.rows]
        self._refusals, self._tokenizer, self._template = refusals, tokenizer, template
        self._chat = Template("chat", tokenizer) if getattr(tokenizer, "chat_template", None) else None

    def draw(self, model: Any, *, seed: int) -> list[list[str]]:
        """Ask the model for `PER_ROW` other answers to each row; says how many had to be replaced by "I don't know".

        Those are answers that were empty or the row's own in each of `TRIES` tries, that the template cannot
        carry, or for which the model's context has no room.

        Args:
            model: As it is before unlearning.
            seed: Of the draws.

        Raises:
            InputError: a model that cannot generate.
        """
        if not hasattr(model, "generate"):
            raise InputError(
                f"{type(model).__name__} has no `generate`, so that no other answers can be sampled from it"
            )
        total = PER_ROW * len(self.rows)
        logger.info(
            "The model makes up %d other answers to each of %s.", PER_ROW, number_of(len(self.rows), "forget row")
        )
        prompts = [ids for ids in map(self._prompt, self.rows) for _ in range(PER_ROW)]
        found = sample_answers(
            model,
            self._tokenizer,
            prompts,
            max_new_tokens=MAX_NEW_TOKENS,
            seed=seed,
            accept=lambda number, answer: self._will_do(self.rows[number // PER_ROW], self._answer_in(answer)),
            tries=TRIES,
            end_ids=() if self._chat is None else end_token_ids(self._tokenizer, self._chat),
        )
        if lacking := found.count(None):
            logger.warning(
                "%d of %d other answers %s \"I don't know\": what the model made up was empty or the row's own in "
                "each of %d tries, or its context has no room for the request.",
                lacking, total, verb(lacking), TRIES,
            )  # fmt: skip
        answers = [
            self._refusals[i % len(self._refusals)] if text is None else self._answer_in(text)
            for i, text in enumerate(found)
        ]
        return [answers[start : start + PER_ROW] for start in range(0, total, PER_ROW)]

    def _prompt(self, row: Row) -> list[int]:
        request = Row(REQUEST.format(question=row.prompt, answer=row.answer), row.answer, origin=row.origin)
        if self._chat is None:
            return prompt_token_ids(request, self._tokenizer)
        return encode(request, self._tokenizer, self._chat, max_length=1 << 30).prompt_ids

    def _answer_in(self, text: str) -> str:
        """A model that is not a chat model continues after its answer."""
        return text if self._chat is not None else text.partition("\n")[0].strip()

    def _will_do(self, row: Row, answer: str) -> bool:
        if not answer or _words(answer) == _words(row.answer):
            return False
        try:
            self._template.parts(row, answer)
        except InputError:  # a chat template that reads something into it
            return False
        return True


def _words(text: str) -> list[str]:
    return text.casefold().split()
