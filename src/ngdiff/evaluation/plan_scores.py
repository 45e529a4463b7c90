"""What a model says of the sequences of a plan."""

import math
from typing import Any

from ngdiff.errors import InputError
from ngdiff.evaluation.likelihood import TokenScores, batch_scores
from ngdiff.evaluation.passes import choose_passes
from ngdiff.evaluation.plan import Plan
from ngdiff.evaluation.work import Work


def score_plan(
    model: Any, plan: Plan, tokens_per_batch: int, speed: str, work: Work, stage: str = "losses"
) -> dict[int, TokenScores]:
    """Scores of each sequence of a plan, by its index.

    Args:
        model: That scores.
        plan: What is asked of it.
        tokens_per_batch: Most padded tokens of one batch.
        speed: `auto`, or `off` for the plain pass (`choose_passes`).
        work: Processes, journal and bar.
        stage: Name of the work.

    Raises:
        InputError: logits that are not finite; the message names the row.
    """
    passes = work.processes.broadcast(
        choose_passes(model, plan.sequences, tokens_per_batch, speed) if work.processes.is_main else None
    )

    def compute(batch: list[int]) -> list[dict[str, Any]]:
        detailed, given = [plan.detailed[i] for i in batch], [plan.given[i] for i in batch]
        found = batch_scores(model, [plan.sequences[i] for i in batch], detailed, given, passes.rows_of(batch))
        for index, scores in zip(batch, found, strict=True):
            _check_finite(scores, plan.names[index])
        return [{name: getattr(scores, name) for name in TokenScores.__slots__} for scores in found]

    lengths = [len(ids) for ids, _ in plan.sequences]
    values = work.run(stage, passes.batches, compute, sizes=lengths, unit="tok")
    return {index: TokenScores(**value) for index, value in values.items()}


def _check_finite(scores: TokenScores, name: str) -> None:
    if not all(map(math.isfinite, [*scores.nll, *scores.z])):
        raise InputError(
            f"{name}: the model gives a loss of {math.fsum(scores.nll)}; its weights hold NaN or infinity, or its "
            "logits overflow in half precision (try --dtype float32)"
        )
