"""A model and rows in, records out: the only step of an evaluation that needs the model."""

from collections.abc import Sequence
from itertools import islice
from typing import Any

import torch

from ngdiff.data.encode import IGNORED, Encoded, encode_rows, end_token_ids
from ngdiff.data.rows import Row
from ngdiff.data.template import Template
from ngdiff.errors import InputError
from ngdiff.evaluation.context import context_length
from ngdiff.evaluation.generation import generate_answers
from ngdiff.evaluation.likelihood import token_nll
from ngdiff.evaluation.records import Likelihood, Record


def predict(
    model: Any,
    tokenizer: Any,
    rows: Sequence[Row],
    template: Template,
    *,
    max_length: int,
    set_name: str = "rows",
    generate: bool = True,
    max_new_tokens: int | None = None,
    tokens_per_batch: int = 4096,
    show_progress: bool = True,
) -> list[Record]:
    """The record of every row: likelihoods of its answers and the greedy answer to its prompt.

    One forward per distinct sequence: a row's reference, paraphrased and perturbed answers are scored once
    each, and equal sequences (also of different rows) once in all. Prompt and labels are those of training
    (`data.encode`).

    Args:
        max_length: longest sequence in tokens; longer ones are cut on the right, as in training.
        set_name: the `set` of the records, also shown at the progress bar.
        generate: False leaves `generated` None (no ROUGE then) and is several times quicker.
        max_new_tokens: longest generated answer; None: the longest reference answer of these rows in tokens,
            end token included, so that a right answer is never cut and a wrong one costs no more.
        tokens_per_batch: most padded tokens of one batch.

    Raises:
        InputError: no rows; a row that cannot be encoded or is longer than the model's context; logits that
            are not finite. The message names the row.
    """
    if not rows:
        raise InputError(f"the {set_name} set has no rows to evaluate")
    if tokens_per_batch < 1:
        raise InputError(f"tokens_per_batch is {tokens_per_batch}; it must be at least 1")
    encoded = _encode(rows, tokenizer, template, max_length)
    _check_context(rows, encoded, context_length(model), max_length)
    options: dict[str, Any] = {"tokens_per_batch": tokens_per_batch, "show_progress": show_progress}
    sequences = list(dict.fromkeys(_key(sequence) for own in encoded for sequence in own))
    found = token_nll(model, sequences, description=f"{set_name}: losses", **options)
    nll = dict(zip(sequences, found, strict=True))
    likelihoods = [
        [_likelihood(nll[_key(sequence)], _name(row, index)) for sequence in own]
        for index, (row, own) in enumerate(zip(rows, encoded, strict=True))
    ]

    generated: Sequence[str | None] = [None] * len(rows)
    if generate:
        references = [own[0] for own in encoded]
        longest = max(sum(label != IGNORED for label in reference.labels) for reference in references)
        generated = generate_answers(
            model,
            tokenizer,
            [reference.prompt_ids for reference in references],
            max_new_tokens=longest if max_new_tokens is None else max_new_tokens,
            end_ids=end_token_ids(tokenizer, template),
            description=f"{set_name}: answers",
            **options,
        )

    return [
        Record(
            set=set_name,
            index=index,
            origin=row.origin,
            prompt=template.render(row)[0],
            reference=row.answer,
            generated=generated[index],
            **own[0],
            paraphrased=own[1] if row.paraphrased_answer is not None else None,
            perturbed=own[len(own) - len(row.perturbed_answers) :],
        )
        for index, (row, own) in enumerate(zip(rows, likelihoods, strict=True))
    ]


def _answers(row: Row) -> list[str]:
    """The reference, the paraphrased if there is one, the perturbed."""
    return [
        row.answer,
        *([] if row.paraphrased_answer is None else [row.paraphrased_answer]),
        *row.perturbed_answers,
    ]


def _encode(rows: Sequence[Row], tokenizer: Any, template: Template, max_length: int) -> list[list[Encoded]]:
    """Per row the sequences of its answers, tokenised in one go."""
    answers = [_answers(row) for row in rows]
    flat = encode_rows(
        [row for row, own in zip(rows, answers, strict=True) for _ in own],
        tokenizer,
        template,
        max_length=max_length,
        answers=[answer for own in answers for answer in own],
    )
    following = iter(Encoded(item["input_ids"], item["labels"]) for item in flat)
    return [list(islice(following, len(own))) for own in answers]


def _check_context(
    rows: Sequence[Row], encoded: Sequence[Sequence[Encoded]], limit: int | None, max_length: int
) -> None:
    for index, (row, own) in enumerate(zip(rows, encoded, strict=True)):
        longest = max(len(sequence.input_ids) for sequence in own)
        if limit is not None and longest > limit:
            raise InputError(
                f"{_name(row, index)}: {longest} tokens, but the model's context holds {limit}; "
                f"set --max-length to at most {limit} (it is {max_length})"
            )


def _name(row: Row, index: int) -> str:
    return row.origin or f"row {index}"


def _key(sequence: Encoded) -> tuple[tuple[int, ...], tuple[int, ...]]:
    return tuple(sequence.input_ids), tuple(sequence.labels)


def _likelihood(nll: torch.Tensor, name: str) -> Likelihood:
    if not len(nll):
        raise InputError(f"{name}: the answer is one token with nothing before it, so it has no probability")
    if not bool(torch.isfinite(nll).all()):
        raise InputError(
            f"{name}: the model gives a loss of {float(nll.sum())}; its weights hold NaN or infinity, or its "
            "logits overflow in half precision (try --dtype float32)"
        )
    return Likelihood(nll_sum=float(nll.sum()), n_tokens=len(nll))
