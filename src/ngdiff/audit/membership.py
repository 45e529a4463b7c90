"""Membership inference: can forget rows still be distinguished from holdout rows, which no model saw?

The AUC of each score (`ngdiff.metrics.membership`), as the mean over forget rows of the share of holdout rows that look
less familiar; ties count half. All scores are shown; the four of the Privacy aggregate decide what comes back, in both
directions: where forget rows look stranger than rows never seen (`1 - AUC`), an attacker recognises them as well. The
interval of what comes back treats the holdout rows as fixed; the interval of the AUC itself, which is shown, does not.
"""

from bisect import bisect_left, bisect_right
from collections.abc import Iterator, Sequence

from ngdiff.audit.base import Bed, NotApplicableError, Variant
from ngdiff.audit.target import Target
from ngdiff.data import EvaluationSet
from ngdiff.evaluation import evaluate
from ngdiff.metrics.aggregates import ATTACKS as JUDGED
from ngdiff.metrics.membership import SCORES, values

_LEAST = 2


def tell_members(target: Target, bed: Bed) -> Iterator[tuple[str, Variant]]:
    """One form for each score, shown with its AUC and the interval of the AUC."""
    if len(bed.holdout) < _LEAST or len(bed.forget) < _LEAST:
        raise NotApplicableError("it needs at least two forget rows and two rows that no model saw (--holdout)")
    sets = {
        name: EvaluationSet(rows, lowercase=True) for name, rows in (("forget", bed.forget), ("holdout", bed.holdout))
    }
    found = evaluate(
        target.model,
        bed.tokenizer,
        sets,
        bed.template,
        max_length=bed.max_length,
        generate=False,
        tokens_per_batch=bed.tokens_per_batch,
        show_progress=bed.show_progress,
    )
    kept = found.records["forget"] + found.records["holdout"]
    for name, shown in found.scores["membership"].items():
        if "auc" not in shown:
            continue
        placed = placements(*(values(SCORES[name], found.records[side]) for side in sets))
        judged = {"AUC": placed, "1 - AUC": [1 - share for share in placed]} if name in JUDGED else {}
        yield name, Variant(judged, shown, kept)
        kept = []  # records are stored once


def placements(members: Sequence[float], others: Sequence[float]) -> list[float]:
    """For each member, the share of others with a higher value; ties count half. The mean is the AUC.

    >>> placements([1.0, 3.0], [2.0, 3.0])
    [1.0, 0.25]
    """
    ranked = sorted(others)
    return [1 - (bisect_left(ranked, value) + bisect_right(ranked, value)) / 2 / len(ranked) for value in members]
