"""Evaluate a model on named sets."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any

from ngdiff.data.rows import Row
from ngdiff.data.sets import EvaluationSet
from ngdiff.data.template import Template
from ngdiff.errors import InputError
from ngdiff.evaluation.batching import TOKENS_PER_BATCH
from ngdiff.evaluation.context import context_length, row_limit
from ngdiff.evaluation.plan import Limits, make_plan
from ngdiff.evaluation.predict import check_budget, check_speed, predict_plan
from ngdiff.evaluation.records import Record
from ngdiff.evaluation.work import Work
from ngdiff.metrics import CONFIDENCE, score


@dataclass(frozen=True, slots=True)
class EvaluationResult:
    """Results of an evaluation.

    Attributes:
        scores: What `ngdiff.metrics.score` makes of the records, intervals included.
        records: Per set its records, in row order.
        lm_eval: Per task the numbers of lm-evaluation-harness, where it was asked for.
    """

    scores: dict[str, Any]
    records: dict[str, list[Record]]
    lm_eval: dict[str, Any] = field(default_factory=dict)

    @classmethod
    def of(cls, records: dict[str, list[Record]], lm_eval: dict[str, Any] | None = None) -> "EvaluationResult":
        """With the metrics of the records: those of `ngdiff score`, with its default options."""
        return cls(score(records, confidence=CONFIDENCE) if records else {}, records, lm_eval or {})

    @property
    def metrics(self) -> dict[str, dict[str, float | int]]:
        """Per set the numbers of `ngdiff.metrics.summarize`."""
        return {name: self.scores[name] for name in self.records}

    def as_json(self) -> dict[str, Any]:
        """What `metrics.json` holds: the keys of `ngdiff.metrics.score`, then `lm_eval`. No text of the data."""
        return {**self.scores, **({"lm_eval": self.lm_eval} if self.lm_eval else {})}


def evaluate(
    model: Any,
    tokenizer: Any,
    sets: Mapping[str, Sequence[Row] | EvaluationSet],
    template: Template,
    *,
    max_length: int | None = None,
    generate: bool = True,
    max_new_tokens: int | None = None,
    prompt_tokens: int | None = None,
    tokens_per_batch: int = TOKENS_PER_BATCH,
    speed: str = "auto",
    show_progress: bool = True,
) -> EvaluationResult:
    """Records and metrics of every set.

    Args:
        sets: Rows by set name, or `EvaluationSet`s, which say how they are predicted (`ngdiff.data.benchmarks`).
            Names with their own metrics are in `ngdiff.metrics.METRICS`; any other name is scored as kept
            data.
        max_length: Longest row in tokens, of every set; None: the set's own, else the model's context (2048 where it
            states none).
        generate, max_new_tokens, prompt_tokens, tokens_per_batch, speed, show_progress: As in `predict`.
            `max_new_tokens` None means the set's own, else as there.

    Raises:
        InputError: no sets, a name that cannot be part of a file name, an empty set, or what `predict`
            raises.
    """
    given = as_sets(sets)
    check_budget(tokens_per_batch)
    check_speed(speed)
    if not generate:
        given = {name: replace(own, generate=False) for name, own in given.items()}
    plan = make_plan(given, tokenizer, template, limits_of(model, max_length, max_new_tokens, prompt_tokens))
    records = predict_plan(
        model,
        tokenizer,
        template,
        plan,
        work=Work(show_progress=show_progress),
        tokens_per_batch=tokens_per_batch,
        speed=speed,
        stops={name: own.stops for name, own in given.items()},
    )
    return EvaluationResult.of(records)


def limits_of(
    model: Any, max_length: int | None, max_new_tokens: int | None = None, prompt_tokens: int | None = None
) -> Limits:
    """The limits of a model and of what the user asked for.

    Raises:
        InputError: `max_length` or `max_new_tokens` is beyond the model's context.
    """
    context = context_length(model)
    if max_new_tokens is not None and context is not None and max_new_tokens > context:
        raise InputError(f"--max-new-tokens {max_new_tokens} is beyond the model's context of {context} tokens")
    return Limits(
        row_limit(model, max_length),
        context,
        given=max_length is not None,
        max_new_tokens=max_new_tokens,
        prompt_tokens=prompt_tokens,
    )


def as_sets(sets: Mapping[str, Sequence[Row] | EvaluationSet]) -> dict[str, EvaluationSet]:
    """Rows of a set with the user's settings; checked.

    Raises:
        InputError: as `evaluate`.
    """
    if not sets:
        raise InputError("there is no set to evaluate; give at least one, such as forget")
    found = {name: own if isinstance(own, EvaluationSet) else EvaluationSet(own) for name, own in sets.items()}
    for name, own in found.items():
        if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
            raise InputError(f"set name {name!r}: use letters, digits, - and _ only (it becomes part of a file name)")
        if not own.rows:
            raise InputError(f"the {name} set has no rows to evaluate")
    return found
