"""From sets of rows to what a model is asked: distinct sequences to score, distinct prompts to answer.

Everything that can be wrong with rows and options is found here, before the model is run.
"""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ngdiff.data.encode import IGNORED, Encoded, end_token_ids
from ngdiff.data.rows import Row
from ngdiff.data.sets import EvaluationSet
from ngdiff.data.template import Template
from ngdiff.errors import InputError
from ngdiff.evaluation.generation import empty_prompt, room
from ngdiff.evaluation.parts import Part, has_probability, parts_of
from ngdiff.evaluation.prompts import Prompt

Labelled = tuple[tuple[int, ...], tuple[int, ...]]  # input ids and labels


@dataclass(frozen=True)
class PlannedRow:
    """One row, or one piece of a text, with the indices of its answers among the plan's sequences and prompts.

    `prompt`: None where nothing is generated. `lowercase`: None where it was not asked for.
    """

    part: Part
    reference: int
    paraphrased: int | None
    perturbed: list[int]
    lowercase: int | None
    prompt: int | None


@dataclass
class Plan:
    """What is asked of a model, each sequence and each prompt once.

    Attributes:
        rows: By set.
        sequences: What is scored; `names` says whose each is, `detailed` whether per-token values are kept, `given`
            how many of its labels are in the prompt that the model continues.
        prompts: What is answered; `drafts` holds for each the sequence that begins with it and goes on with the
            reference, or None.
        ends: Ids that end an answer.
        context: Positions of the model, None where it states no limit.
    """

    rows: dict[str, list[PlannedRow]] = field(default_factory=dict)
    sequences: list[Labelled] = field(default_factory=list)
    names: list[str] = field(default_factory=list)
    detailed: list[bool] = field(default_factory=list)
    given: list[int] = field(default_factory=list)
    prompts: list[Prompt] = field(default_factory=list)
    drafts: list[int | None] = field(default_factory=list)
    ends: frozenset[int] = frozenset()
    context: int | None = None
    _places: dict[tuple[Labelled, int], int] = field(default_factory=dict)
    _asked: dict[tuple[tuple[int, ...], int], int] = field(default_factory=dict)

    def place(self, sequence: Encoded, name: str, detailed: bool, n_given: int = 0) -> int:
        """The index of a sequence among those to score; equal ones share one."""
        labelled = tuple(sequence.input_ids), tuple(sequence.labels)
        if (labelled, n_given) not in self._places:
            self._places[labelled, n_given] = len(self.sequences)
            self.sequences.append(labelled)
            self.names.append(name)
            self.detailed.append(False)
            self.given.append(n_given)
        found = self._places[labelled, n_given]
        self.detailed[found] |= detailed
        return found

    def ask(self, prompt: Prompt, draft: int | None) -> int:
        """The index of a prompt among those to answer; equal ones share one."""
        key = prompt.ids, prompt.limit
        if key not in self._asked:
            self._asked[key] = len(self.prompts)
            self.prompts.append(prompt)
            self.drafts.append(draft)
        return self._asked[key]


@dataclass(frozen=True)
class Limits:
    """What the user asked for beyond the sets' own settings.

    Attributes:
        row: Longest row in tokens where a set has no limit of its own.
        context: Positions of the model; None: no limit known.
        given: `row` was asked for and holds for every set, also for those that are otherwise never cut.
        max_new_tokens: Longest generated answer, of every set; None: the set's own, else its longest reference, of a
            text as many tokens as it has left.
        prompt_tokens: As in `parts_of`.
    """

    row: int
    context: int | None = None
    given: bool = False
    max_new_tokens: int | None = None
    prompt_tokens: int | None = None


def make_plan(
    sets: Mapping[str, EvaluationSet], tokenizer: Any, template: Template, limits: Limits, *, lowercase: bool = False
) -> Plan:
    """The plan of all sets.

    Args:
        lowercase: Score the lower-cased references of every set, not only of those that ask for it.

    Raises:
        InputError: a row that cannot be encoded, is longer than the context, or leaves no room for an answer; a number
            of prompt tokens that is none.
    """
    asked: Any = limits.prompt_tokens
    if asked is not None and (isinstance(asked, bool) or not isinstance(asked, int) or asked < 0):
        raise InputError(f"prompt_tokens is {asked!r}; it must be None or a whole number, 0 or more")
    plan = Plan(
        ends=frozenset(end_token_ids(tokenizer, template)) if tokenizer.eos_token_id is not None else frozenset(),
        context=limits.context,
    )
    for name, own in sets.items():
        plan.rows[name] = _plan_set(plan, own, tokenizer, template, limits, own.lowercase or lowercase)
    return plan


def reference_sequences(
    planned: Mapping[str, Sequence[PlannedRow]],
    sets: Mapping[str, EvaluationSet],
    tokenizer: Any,
    template: Template,
    limits: Limits,
) -> tuple[dict[str, list[int]], Plan]:
    """The references alone, for another model: the index of each among the plan's sequences, and the plan.

    Args:
        planned: Rows of another plan of these sets: what that one cut or took to pieces is as it was there.
        sets: How each is limited.
        tokenizer, template, limits: Of the other model.
    """
    plan = Plan(context=limits.context)
    places = {}
    for name, own in sets.items():
        max_length = _max_length(own, limits)
        rows = [row.part.alone() for row in planned[name]]
        parts = parts_of(rows, tokenizer, template, max_length=max_length, whole=True)
        _check_context(parts, limits.context, max_length)
        places[name] = [
            plan.place(part.sequences[0], row_name(part.row, index), False) for index, part in enumerate(parts)
        ]
    return places, plan


def _plan_set(
    plan: Plan, own: EvaluationSet, tokenizer: Any, template: Template, limits: Limits, lowercase: bool
) -> list[PlannedRow]:
    rows = [_with_cut_reference(row, tokenizer, own.reference_tokens) for row in own.rows]
    max_length = _max_length(own, limits)
    parts = parts_of(
        rows,
        tokenizer,
        template,
        max_length=max_length,
        lowercase=lowercase,
        prompt_tokens=limits.prompt_tokens,
        whole=own.whole,
    )
    _check_context(parts, limits.context, max_length)
    longest = max(_n_labels(part) for part in parts)
    total = max_length if own.max_length is not None else None
    planned = []
    for index, part in enumerate(parts):
        name = row_name(part.row, index)
        reference = plan.place(part.sequences[0], name, True, part.n_given)
        places = iter([plan.place(sequence, name, False) for sequence in part.sequences[1:]])
        planned.append(
            PlannedRow(
                part,
                reference,
                paraphrased=None if part.row.paraphrased_answer is None else next(places),
                perturbed=[next(places) for _ in part.row.perturbed_answers],
                lowercase=next(places) if lowercase else None,
                prompt=None,
            )
        )
        if not own.generate:
            continue
        ids = part.prompt_ids or empty_prompt(tokenizer)
        # A text is compared over its own length; an answer may reach the right words later than the reference does.
        expected = _n_labels(part) - part.n_given
        new_tokens = limits.max_new_tokens or own.max_new_tokens or (max(expected, 1) if part.text else longest)
        limit = room(ids, new_tokens, limits.context, f"{name}: the prompt")
        if total is not None:
            limit = min(limit, max(total - len(ids), 1))
        draft = reference if _goes_on(ids, part.sequences[0], part.n_given) else None
        asked = plan.ask(Prompt(ids, limit, expected=min(expected, limit)), draft)
        planned[-1] = replace(planned[-1], prompt=asked)
    return planned


def _n_labels(part: Part) -> int:
    """Labels of the reference, that at position 0 left out, which nothing comes before."""
    return sum(label != IGNORED for label in part.sequences[0].labels[1:])


def _max_length(own: EvaluationSet, limits: Limits) -> int:
    if limits.given:
        return limits.row
    if own.whole:
        return 1 << 30  # what does not fit is an error, not cut
    if own.max_length is not None:
        return min(own.max_length, limits.context or own.max_length)
    return limits.row


def _goes_on(prompt: tuple[int, ...], sequence: Encoded, n_given: int) -> bool:
    """Whether the sequence is the prompt followed by labels without a gap: its forward then starts the answer."""
    count = len(prompt)
    labels = sequence.labels
    return (
        tuple(sequence.input_ids[:count]) == prompt
        and sum(label != IGNORED for label in labels[1:count]) == n_given
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


def _check_context(parts: Sequence[Part], limit: int | None, max_length: int) -> None:
    for index, part in enumerate(parts):
        longest = max(len(sequence.input_ids) for sequence in part.sequences)
        if limit is not None and longest > limit:
            now = f" (it is {max_length})" if max_length < 1 << 30 else ""
            raise InputError(
                f"{row_name(part.row, index)}: {longest} tokens, but the model's context holds {limit}; "
                f"set --max-length to at most {limit}{now}"
            )
        if not all(has_probability(sequence) for sequence in part.sequences):
            raise InputError(
                f"{row_name(part.row, index)}: the answer is one token with nothing before it, so it has no probability"
            )


def row_name(row: Row, index: int) -> str:
    """How messages call a row."""
    return row.origin or f"row {index}"
