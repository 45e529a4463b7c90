"""From sets of rows to what a model is asked: distinct sequences to score, distinct prompts to answer.

Everything that can be wrong with rows and options is found here, before a model works.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import islice
from typing import Any

from ngdiff.data.encode import IGNORED, Encoded, encode_answers, end_token_ids, prompt_token_ids
from ngdiff.data.rows import Row
from ngdiff.data.sets import EvaluationSet
from ngdiff.data.template import Template
from ngdiff.errors import InputError
from ngdiff.evaluation.generation import Prompt, empty_prompt, room

Labelled = tuple[tuple[int, ...], tuple[int, ...]]  # input ids and labels


@dataclass(frozen=True)
class PlannedRow:
    """One row and the places of its answers among the plan's sequences and prompts.

    `row`: with the reference that is compared. `prompt`: None where nothing is generated. `lowercase`: None where
    it was not asked for. `n_end`: as in `Encoded`, of the reference.
    """

    row: Row
    reference: int
    paraphrased: int | None
    perturbed: list[int]
    lowercase: int | None
    prompt: int | None
    n_end: int = 0


@dataclass
class Plan:
    """What is asked of a model, each sequence and each prompt once.

    Attributes:
        rows: by set.
        sequences: what is scored; `names` says whose each is, `detailed` whether per-token values are kept.
        prompts: what is answered; `drafts` holds for each the sequence that begins with it and goes on with the
            reference, or None.
        ends: ids that end an answer.
        context: positions of the model, None where it states no limit.
    """

    rows: dict[str, list[PlannedRow]] = field(default_factory=dict)
    sequences: list[Labelled] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    detailed: list[bool] = field(default_factory=list)
    prompts: list[Prompt] = field(default_factory=list)
    drafts: list[int | None] = field(default_factory=list)
    ends: frozenset[int] = frozenset()
    context: int | None = None


@dataclass(frozen=True)
class Limits:
    """What the user asked for beyond the sets' own settings.

    Attributes:
        row: longest row in tokens where a set has no limit of its own.
        context: positions of the model; None: no limit known.
        given: `row` was asked for and holds for every set, also for those that are otherwise never cut.
        max_new_tokens: longest generated answer, of every set; None: the set's own, else its longest reference.
    """

    row: int
    context: int | None = None
    given: bool = False
    max_new_tokens: int | None = None


def make_plan(
    sets: Mapping[str, EvaluationSet], tokenizer: Any, template: Template, limits: Limits, *, lowercase: bool = False
) -> Plan:
    """The plan of all sets.

    Args:
        lowercase: score the lower-cased references of every set, not only of those that ask for it.

    Raises:
        InputError: a row that cannot be encoded, is longer than the context, or leaves no room for an answer.
    """
    plan = Plan(
        ends=frozenset(end_token_ids(tokenizer, template)) if tokenizer.eos_token_id is not None else frozenset(),
        context=limits.context,
    )
    known_sequences: dict[Labelled, int] = {}
    known_prompts: dict[tuple[tuple[int, ...], int], int] = {}
    for name, own in sets.items():
        plan.rows[name] = _plan_set(
            plan, own, tokenizer, template, limits, own.lowercase or lowercase, known_sequences, known_prompts
        )
    return plan


def reference_sequences(
    sets: Mapping[str, EvaluationSet], tokenizer: Any, template: Template, limits: Limits
) -> tuple[dict[str, list[int]], Plan]:
    """The references alone, for another model: the place of each row's among the plan's sequences."""
    bare = {
        name: replace(
            own,
            generate=False,
            lowercase=False,
            rows=[replace(r, paraphrased_answer=None, perturbed_answers=()) for r in own.rows],
        )
        for name, own in sets.items()
    }
    plan = make_plan(bare, tokenizer, template, limits)
    return {name: [row.reference for row in rows] for name, rows in plan.rows.items()}, plan


def _plan_set(
    plan: Plan,
    own: EvaluationSet,
    tokenizer: Any,
    template: Template,
    limits: Limits,
    lowercase: bool,
    known_sequences: dict[Labelled, int],
    known_prompts: dict[tuple[tuple[int, ...], int], int],
) -> list[PlannedRow]:
    rows = [_with_cut_reference(row, tokenizer, own.reference_tokens) for row in own.rows]
    max_length = _max_length(own, limits)
    encoded = _encode(rows, tokenizer, template, max_length, lowercase)
    _check_context(rows, encoded, limits.context, max_length)
    longest = max(sum(label != IGNORED for label in sequences[0].labels) for sequences in encoded)
    new_tokens = limits.max_new_tokens or own.max_new_tokens or longest
    total = max_length if own.max_length is not None else None

    def place(sequence: Encoded, name: str, detailed: bool) -> int:
        key = tuple(sequence.input_ids), tuple(sequence.labels)
        if key not in known_sequences:
            known_sequences[key] = len(plan.sequences)
            plan.sequences.append(key)
            plan.names.append(name)
            plan.detailed.append(False)
        plan.detailed[known_sequences[key]] |= detailed
        return known_sequences[key]

    planned = []
    for index, (row, sequences) in enumerate(zip(rows, encoded, strict=True)):
        name = row_name(row, index)
        reference = place(sequences[0], name, True)
        places = iter([place(sequence, name, False) for sequence in sequences[1:]])
        planned.append(
            PlannedRow(
                row,
                reference,
                paraphrased=None if row.paraphrased_answer is None else next(places),
                perturbed=[next(places) for _ in row.perturbed_answers],
                lowercase=next(places) if lowercase else None,
                prompt=None,
                n_end=sequences[0].n_end,
            )
        )
        if not own.generate:
            continue
        ids = tuple(prompt_token_ids(row, tokenizer) if row.kind == "raw" else sequences[0].prompt_ids)
        ids = ids or empty_prompt(tokenizer)
        limit = room(ids, new_tokens, limits.context, f"{name}: the prompt")
        if total is not None:
            limit = min(limit, max(total - len(ids), 1))
        if (ids, limit) not in known_prompts:
            known_prompts[ids, limit] = len(plan.prompts)
            expected = sum(label != IGNORED for label in sequences[0].labels)
            plan.prompts.append(Prompt(ids, limit, expected=min(expected, limit)))
            plan.drafts.append(reference if _goes_on(ids, sequences[0]) else None)
        planned[-1] = replace(planned[-1], prompt=known_prompts[ids, limit])
    return planned


def _max_length(own: EvaluationSet, limits: Limits) -> int:
    if limits.given:
        return limits.row
    if own.whole:
        return 1 << 30  # what does not fit is an error, not cut
    if own.max_length is not None:
        return min(own.max_length, limits.context or own.max_length)
    return limits.row


def _goes_on(prompt: tuple[int, ...], sequence: Encoded) -> bool:
    """Whether the sequence is the prompt and labels without a gap: its forward then answers the prompt."""
    count = len(prompt)
    labels = sequence.labels
    return (
        tuple(sequence.input_ids[:count]) == prompt
        and all(label == IGNORED for label in labels[1:count])
        and all(label != IGNORED for label in labels[count:])
        and len(labels) > count
    )


def _with_cut_reference(row: Row, tokenizer: Any, count: int | None) -> Row:
    """MUSE compares with the first so many tokens of the passage, special ones in front counted."""
    if count is None:
        return row
    ids = tokenizer(row.answer, verbose=False)["input_ids"]
    if len(ids) <= count:
        return row
    return replace(row, answer=str(tokenizer.decode(ids[:count], skip_special_tokens=True)))


def _encode(
    rows: Sequence[Row], tokenizer: Any, template: Template, max_length: int, lowercase: bool
) -> list[list[Encoded]]:
    """Per row the sequences of its answers, tokenised in one go: reference, paraphrased, perturbed, lower case."""
    answers = [
        [
            row.answer,
            *([] if row.paraphrased_answer is None else [row.paraphrased_answer]),
            *row.perturbed_answers,
            *([row.answer.lower()] if lowercase else []),
        ]
        for row in rows
    ]
    flat = encode_answers(
        [row for row, own in zip(rows, answers, strict=True) for _ in own],
        tokenizer,
        template,
        max_length=max_length,
        answers=[answer for own in answers for answer in own],
    )
    following = iter(flat)
    return [list(islice(following, len(own))) for own in answers]


def _check_context(
    rows: Sequence[Row], encoded: Sequence[Sequence[Encoded]], limit: int | None, max_length: int
) -> None:
    for index, (row, own) in enumerate(zip(rows, encoded, strict=True)):
        longest = max(len(sequence.input_ids) for sequence in own)
        if limit is not None and longest > limit:
            now = f" (it is {max_length})" if max_length < 1 << 30 else ""
            raise InputError(
                f"{row_name(row, index)}: {longest} tokens, but the model's context holds {limit}; "
                f"set --max-length to at most {limit}{now}"
            )
        if any(all(label == IGNORED for label in sequence.labels[1:]) for sequence in own):
            raise InputError(
                f"{row_name(row, index)}: the answer is one token with nothing before it, so it has no probability"
            )


def row_name(row: Row, index: int) -> str:
    """How messages call a row."""
    return row.origin or f"row {index}"
