"""Evaluate a model on named sets."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from ngdiff.data.rows import Row
from ngdiff.data.template import Template
from ngdiff.errors import InputError
from ngdiff.evaluation.predict import predict
from ngdiff.evaluation.records import Record
from ngdiff.metrics import headline, summarize


@dataclass(frozen=True, slots=True)
class EvaluationResult:
    """What an evaluation found.

    Attributes:
        metrics: per set the numbers of `ngdiff.metrics.summarize`.
        records: per set its records, in row order.
    """

    metrics: dict[str, dict[str, float | int]]
    records: dict[str, list[Record]]

    def as_json(self) -> dict[str, Any]:
        """What `metrics.json` holds: the headline numbers (`verbmem`, `utility`, ...), then each set's.

        It holds no text of the data.
        """
        return {**headline(self.metrics), **self.metrics}


def evaluate(
    model: Any,
    tokenizer: Any,
    sets: Mapping[str, Sequence[Row]],
    template: Template,
    *,
    max_length: int,
    generate: bool = True,
    max_new_tokens: int | None = None,
    tokens_per_batch: int = 4096,
    show_progress: bool = True,
) -> EvaluationResult:
    """Records and metrics of every set.

    Args:
        sets: rows by set name. "forget", "retain", "holdout", "real_authors" and "world_facts" have metrics
            of their own (`ngdiff.metrics.METRICS`); any other name is scored as kept data.
        max_length, generate, max_new_tokens, tokens_per_batch, show_progress: as in `predict`.
            `max_new_tokens` None means the longest reference answer of each set.

    Raises:
        InputError: no sets, a name that cannot be part of a file name, an empty set, or what `predict`
            raises.
    """
    _check_sets(sets)
    records = {
        name: predict(
            model,
            tokenizer,
            rows,
            template,
            max_length=max_length,
            set_name=name,
            generate=generate,
            max_new_tokens=max_new_tokens,
            tokens_per_batch=tokens_per_batch,
            show_progress=show_progress,
        )
        for name, rows in sets.items()
    }
    return EvaluationResult({name: summarize(name, found) for name, found in records.items()}, records)


def _check_sets(sets: Mapping[str, Sequence[Row]]) -> None:
    if not sets:
        raise InputError("there is no set to evaluate; give at least one, such as forget")
    for name, rows in sets.items():
        if not re.fullmatch(r"[A-Za-z0-9_-]+", name):
            raise InputError(f"set name {name!r}: use letters, digits, - and _ only (it becomes part of a file name)")
        if not rows:
            raise InputError(f"the {name} set has no rows to evaluate")
