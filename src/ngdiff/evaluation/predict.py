"""A model and rows in, records out: the only step of an evaluation that needs the model."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

from ngdiff.data.rows import Row
from ngdiff.data.sets import EvaluationSet
from ngdiff.data.template import Template
from ngdiff.errors import InputError
from ngdiff.evaluation.batching import TOKENS_PER_BATCH
from ngdiff.evaluation.context import context_length
from ngdiff.evaluation.eval_mode import eval_mode
from ngdiff.evaluation.generation import decode
from ngdiff.evaluation.gradients import gradient_norm
from ngdiff.evaluation.greedy import GreedyGenerator
from ngdiff.evaluation.likelihood import TokenScores
from ngdiff.evaluation.plain_outputs import plain_outputs
from ngdiff.evaluation.plan import Limits, Plan, PlannedRow, make_plan, reference_sequences
from ngdiff.evaluation.plan_scores import score_plan
from ngdiff.evaluation.prompts import Generator, Prompt, generation_batches
from ngdiff.evaluation.records import Likelihood, Record
from ngdiff.evaluation.work import Work
from ngdiff.modeling.causality import check_causal
from ngdiff.modeling.vocabulary import check_tokens, check_vocabulary

# An answer is generated in rounds of 16, 32, 64, ... tokens: more rows fit into a batch of fewer tokens, and answers
# that have ended leave it. The price of a round is one forward over the tokens so far.
_FIRST_STEPS = 16
_ALL_AT_ONCE = 1 << 62
SPEEDS = ("auto", "off")


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
    prompt_tokens: int | None = None,
    tokens_per_batch: int = TOKENS_PER_BATCH,
    speed: str = "auto",
    show_progress: bool = True,
) -> list[Record]:
    """The record of every row: likelihoods of its answers and the greedy answer to its prompt. A long text has one for
    each of its pieces.

    A row's reference, paraphrased and perturbed answers are scored once each, and equal sequences (also of different
    rows) once in all. Prompt and labels are those of training (`data.encode`).

    Args:
        max_length: Longest sequence in tokens; longer ones are cut on the right, and longer texts taken to pieces, as
            in training.
        set_name: The `set` of the records.
        generate: False leaves `generated` None (no ROUGE then) and is several times quicker.
        max_new_tokens: Longest generated answer; None: the longest reference answer of these rows in tokens,
            end token included, so that a right answer is never cut and a wrong one takes no longer. Of a text: as many
            as it has left after its prompt.
        prompt_tokens: First tokens of a text that are its prompt (`ngdiff.evaluation.parts.parts_of`).
        tokens_per_batch: Most padded tokens of one batch.
        speed: `auto`: what several sequences begin with, such as a prompt, is computed once, if that changes nothing on
            the run's first rows; `off`: the plain pass, one for each sequence.

    Raises:
        InputError: no rows; another `speed`; a row that cannot be encoded or is longer than the model's context;
            logits that are not finite. The message names the row.
    """
    if not rows:
        raise InputError(f"the {set_name} set has no rows to evaluate")
    check_budget(tokens_per_batch)
    check_speed(speed)
    limits = Limits(
        max_length, context_length(model), given=True, max_new_tokens=max_new_tokens, prompt_tokens=prompt_tokens
    )
    plan = make_plan({set_name: EvaluationSet(rows, generate=generate)}, tokenizer, template, limits)
    return predict_plan(
        model,
        tokenizer,
        template,
        plan,
        tokens_per_batch=tokens_per_batch,
        speed=speed,
        work=Work(show_progress=show_progress),
    )[set_name]


def check_budget(tokens_per_batch: int) -> None:
    """Refuse a budget that holds nothing.

    Raises:
        InputError: `tokens_per_batch` is below 1.
    """
    if tokens_per_batch < 1:
        raise InputError(f"tokens_per_batch is {tokens_per_batch}; it must be at least 1")


def check_speed(speed: str) -> None:
    """Refuse another word than `auto` and `off`.

    Raises:
        InputError: names it.
    """
    if speed not in SPEEDS:
        raise InputError(f"speed is {speed!r}; it must be one of {', '.join(SPEEDS)}")


def predict_plan(
    model: Any,
    tokenizer: Any,
    template: Template,
    plan: Plan,
    *,
    work: Work,
    tokens_per_batch: int = TOKENS_PER_BATCH,
    speed: str = "auto",
    stops: Mapping[str, Sequence[str]] | None = None,
    grad_norm: bool = False,
    generator: Generator | None = None,
) -> dict[str, list[Record]]:
    """Records of all sets of a plan: the likelihood of each distinct sequence, then the rest of the answers.

    The forward over prompt and reference already gives the greedy answer as long as it agrees with the reference: those
    tokens, and the first that differs, are not generated again. A model that recites an answer needs no generation for
    it.

    Args:
        work: Processes, journal and bar.
        speed: As in `predict`.
        stops: By set, texts before which a generated answer ends.
        grad_norm: Norms of gradients, too: one backward for each distinct reference, alone.
        generator: What generates in place of the model, such as `ngdiff.evaluation.vllm`. It gets all prompts at
            once, and no outputs of the forward pass.

    Raises:
        InputError: logits that are not finite; the message names the row.
    """
    check_vocabulary(model, tokenizer)
    check_tokens(model, tokenizer, zip(plan.names, (ids for ids, _ in plan.sequences), strict=True))
    with plain_outputs(model), eval_mode(model):
        check_causal(model, max((ids for ids, _ in plan.sequences), key=len, default=[]))
    scores = score_plan(model, plan, tokens_per_batch, speed, work)
    norms = _gradient_norms(model, plan, work) if grad_norm else {}
    if generator is None:
        prompts = _with_drafts(plan, scores)
        own = GreedyGenerator(model, tokenizer, plan.ends, plan.context)
        prompts = _generate(own, prompts, plan, tokens_per_batch, work, first_steps=_FIRST_STEPS)
    else:
        prompts = _generate(generator, list(plan.prompts), plan, _ALL_AT_ONCE, work)
    answers = {index: decode(tokenizer, prompt.known, plan.ends) for index, prompt in enumerate(prompts)}
    ends = {name: [_end_text(own, plan, tokenizer) for own in rows] for name, rows in plan.rows.items()}
    return {
        name: [
            _record(name, index, own, template, scores, answers, norms, (stops or {}).get(name, ()), ends[name][index])
            for index, own in enumerate(rows)
        ]
        for name, rows in plan.rows.items()
    }


def add_base_model(
    records: Mapping[str, Sequence[Record]],
    plan: Plan,
    model: Any,
    tokenizer: Any,
    template: Template,
    sets: Mapping[str, EvaluationSet],
    limits: Limits,
    *,
    work: Work,
    tokens_per_batch: int = TOKENS_PER_BATCH,
    speed: str = "auto",
) -> None:
    """Write `base_model` into records: the likelihood of each reference under another model.

    Args:
        records: Of `predict_plan`, with this plan, and the same sets.
        tokenizer, template: Of the other model, whose tokens may be others.
        speed: As in `predict`.

    Raises:
        InputError: as `make_plan` and `predict_plan`.
    """
    places, own_plan = reference_sequences(plan.rows, sets, tokenizer, template, limits)
    check_tokens(model, tokenizer, zip(own_plan.names, (ids for ids, _ in own_plan.sequences), strict=True))
    scores = score_plan(model, own_plan, tokens_per_batch, speed, work, stage="losses of the base model")
    for name, own in records.items():
        for record, place in zip(own, places[name], strict=True):
            record["base_model"] = _likelihood(scores[place])


def _gradient_norms(model: Any, plan: Plan, work: Work) -> dict[int, float]:
    references = sorted({row.reference for rows in plan.rows.values() for row in rows})

    def compute(batch: list[int]) -> list[float]:
        norms = [gradient_norm(model, *plan.sequences[index]) for index in batch]
        for index, norm in zip(batch, norms, strict=True):
            if not math.isfinite(norm):
                raise InputError(f"{plan.names[index]}: the norm of the gradient is {norm} (try --dtype float32)")
        return norms

    return work.run("gradients", [[index] for index in references], compute)


def _with_drafts(plan: Plan, scores: Mapping[int, TokenScores]) -> list[Prompt]:
    """The prompts with those tokens of their answers that the forward over prompt and reference showed."""
    return [
        prompt
        if draft is None
        else _with_known(prompt, plan.sequences[draft], scores[draft], plan.given[draft], plan.ends)
        for prompt, draft in zip(plan.prompts, plan.drafts, strict=True)
    ]


def _generate(
    generator: Generator,
    prompts: list[Prompt],
    plan: Plan,
    tokens_per_batch: int,
    work: Work,
    *,
    first_steps: int | None = None,
) -> list[Prompt]:
    """The prompts with all tokens of their answers: in rounds of `first_steps` tokens, twice as many, and so on; None:
    in one."""
    prompts, steps = list(prompts), first_steps
    while unfinished := [index for index, prompt in enumerate(prompts) if len(prompt.known) < prompt.limit]:
        part = [_up_to(prompts[index], steps) for index in unfinished]
        batches = work.processes.broadcast(
            _batches(generator, part, plan, tokens_per_batch) if work.processes.is_main else []
        )

        def compute(batch: list[int], part: Sequence[Prompt] = part) -> list[list[int]]:
            return generator([part[i] for i in batch])

        stage = "answers" if steps is None else f"answers, {steps} tokens"
        for place, ids in work.run(stage, batches, compute).items():
            index = unfinished[place]
            prompts[index] = _with_new(prompts[index], ids, part[place].limit, plan.ends)
        steps = None if steps is None else 2 * steps
    return prompts


def _batches(generator: Generator, prompts: Sequence[Prompt], plan: Plan, tokens_per_batch: int) -> list[list[int]]:
    if isinstance(generator, GreedyGenerator):
        return generator.batches(prompts, tokens_per_batch)
    return generation_batches(prompts, tokens_per_batch, plan.context)


def _up_to(prompt: Prompt, steps: int | None) -> Prompt:
    """For at most so many new tokens beyond those that are known."""
    return prompt if steps is None else replace(prompt, limit=min(prompt.limit, len(prompt.known) + steps))


def _with_new(prompt: Prompt, ids: Sequence[int], asked: int, ends: frozenset[int]) -> Prompt:
    """With what a generator gave; complete with an end token, or where it gave less than it was asked for."""
    end = next((place for place, token in enumerate(ids) if token in ends), None)
    if end is not None:
        return replace(prompt, known=tuple(ids[:end]), limit=end)
    return replace(prompt, known=tuple(ids), limit=prompt.limit if len(ids) == asked else len(ids))


def _with_known(
    prompt: Prompt,
    sequence: tuple[Sequence[int], Sequence[int]],
    scores: TokenScores,
    given: int,
    ends: frozenset[int],
) -> Prompt:
    """The tokens that the forward over prompt and reference showed; with an end token nothing is left to generate."""
    ids = sequence[0][len(prompt.ids) :]
    known = list(ids) if scores.said is None else [*ids[: scores.hit.index(0, given) - given], scores.said]
    return _with_new(prompt, known[: prompt.limit], len(known[: prompt.limit]), ends)


def _likelihood(scores: TokenScores) -> Likelihood:
    return Likelihood(nll_sum=math.fsum(scores.nll), n_tokens=len(scores.nll))


def _end_text(own: PlannedRow, plan: Plan, tokenizer: Any) -> str:
    """The text that a template writes after the answer, without special tokens: an answer that ends as it was taught to
    ends with it."""
    if own.part.n_end == 0:
        return ""
    ids = plan.sequences[own.reference][0][-own.part.n_end :]
    return decode(tokenizer, ids, frozenset()).strip()


def _record(
    name: str,
    index: int,
    own: PlannedRow,
    template: Template,
    scores: Mapping[int, TokenScores],
    answers: Mapping[int, str],
    norms: Mapping[int, float],
    stops: Sequence[str],
    end: str,
) -> Record:
    part, row, reference = own.part, own.part.row, scores[own.reference]
    generated = None if own.prompt is None else answers[own.prompt]
    if generated is not None and row.kind != "raw":
        generated = generated.strip().removesuffix(end).rstrip()
    for stop in stops:
        generated = None if generated is None else generated.partition(stop)[0]
    record = Record(
        set=name,
        index=index,
        origin=row.origin,
        prompt=template.render(row)[0] if part.prompt is None else part.context + part.prompt,
        reference=row.answer,
        generated=generated,
        nll_sum=_likelihood(reference)["nll_sum"],
        n_tokens=len(reference.nll),
        n_given=part.n_given,
        n_end=part.n_end,
        n_cut=part.n_cut,
        paraphrased=None if own.paraphrased is None else _likelihood(scores[own.paraphrased]),
        perturbed=[_likelihood(scores[place]) for place in own.perturbed],
        token_nll=reference.nll,
        token_z=reference.z,
        token_hit=reference.hit,
    )
    if part.piece is not None:
        record["piece"] = list(part.piece)
    if row.document:
        record["document"] = row.document
    if own.lowercase is not None:
        record["lowercase"] = _likelihood(scores[own.lowercase])
    if own.reference in norms:
        record["grad_norm"] = norms[own.reference]
    return record
