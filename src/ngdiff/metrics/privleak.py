"""MUSE's PrivLeak: how membership inference on forgotten passages compares with that on a retrained model.

MUSE (Shi et al. 2024, arXiv 2407.06460, Section 3.1, C3). Its AUC of the ordered pair (A, B) has label 1 for B
and minus the value as score, so that `AUC = P(value_B < value_A) + P(value_B = value_A) / 2`. For the pair
(forget, holdout) label 1 is *holdout*: a model that still knows the forget set has an AUC near 0. The usual
orientation, with the forget set as members (`ngdiff.metrics.membership`), is one minus that.
"""

from collections.abc import Mapping, Sequence

from ngdiff.errors import InputError
from ngdiff.metrics.auc import auc, auc_ends
from ngdiff.metrics.gaffke import Ends
from ngdiff.metrics.membership import PERCENTAGES, SCORES, Score, values
from ngdiff.metrics.records import Records

SPLITS = ("forget", "retain", "holdout")
PAIR, SCORE = "forget_holdout", "Min-40%"

# MUSE's name of a score -> the score. `PPL` is the mean loss, not its exponential.
MUSE_SCORES: dict[str, Score] = {
    "PPL": SCORES["loss"],
    "PPL/lower": SCORES["loss/lower"],
    "PPL/zlib": SCORES["loss/zlib"],
    "PPL/ref": SCORES["loss/reference"],
    **{f"Min-{k}%": SCORES[f"min-{k}%"] for k in PERCENTAGES},
}

# AUC of (forget, holdout) by Min-40 % of the models that MUSE retrained without the forget set; published in
# muse_bench, `constants.py`, and used for every PrivLeak in the paper's Table 3.
AUC_RETRAIN: dict[str, float] = {"news": 0.47719999999999996, "books": 0.5393}


def muse_values(records: Records) -> dict[str, list[float]]:
    """Values of MUSE's scores over the records to which each applies; scores that apply to none are left out."""
    found = {name: values(score, records) for name, score in MUSE_SCORES.items()}
    return {name: own for name, own in found.items() if own}


def pair_aucs(splits: Mapping[str, Mapping[str, Sequence[float]]]) -> dict[str, dict[str, float]]:
    """The AUC of every ordered pair of splits and every score that both have, as `{"A_B": {score: AUC}}`.

    Args:
        splits: For each split ("forget", "retain", "holdout"), what `muse_values` returned for its passages.

    >>> pair_aucs({"forget": {"PPL": [1.0]}, "holdout": {"PPL": [2.0]}})["forget_holdout"]
    {'PPL': 0.0}
    """
    return {
        f"{first}_{second}": {name: auc(others[name], own[name]) for name in own if name in others}
        for first, own in splits.items()
        for second, others in splits.items()
    }


def privleak(area: float, retrained: float) -> float:
    """`100 (AUC - AUC_retrain) / AUC_retrain`, in percent; 0 for a retrained model.

    -100: the forget set is fully recognisable. Large and positive: over-forgetting.

    Args:
        area: AUC of (forget, holdout) in MUSE's orientation.
        retrained: AUC of the retrained model: a value of `AUC_RETRAIN`, or from its own records.

    Raises:
        InputError: `retrained` is not positive, so the ratio is undefined.

    >>> privleak(0.0, 0.4772)
    -100.0
    """
    if not retrained > 0:
        raise InputError(
            f"PrivLeak divides by the AUC of the retrained model, which is {retrained}: that model knows the forget "
            "set, so it is not one that never saw it"
        )
    return 100 * (area - retrained) / retrained


def privleak_interval(
    passages: Mapping[str, Mapping[str, Sequence[float]]],
    retrained: Mapping[str, Mapping[str, Sequence[float]]] | float,
    *,
    confidence: float,
    seed: int = 0,
) -> tuple[float, float] | None:
    """Interval of PrivLeak by Min-40 %, in percent; None if a split has only one passage.

    With records of the retrained model, both AUC are drawn with the same weights of the passages
    (`ngdiff.metrics.auc.auc_ends`), and the low draws of one are divided by the high draws of the other. A published
    AUC has no records and is taken as exact.

    Args:
        passages: As in `pair_aucs`.
        retrained: The same of the retrained model, over the same passages, or its published AUC.

    Raises:
        InputError: a confidence level out of range.
    """
    sides = [[splits[name][SCORE] for name in ("holdout", "forget")] for splits in (passages, retrained)
             if not isinstance(splits, float)]  # fmt: skip
    if min(len(values) for both in sides for values in both) < 2:
        return None
    own, *known = [auc_ends(*both, seed=seed) for both in sides]
    if isinstance(retrained, float):
        low, high = own.interval(confidence)
        return privleak(low, retrained), privleak(high, retrained)
    low, high = Ends(own.low / known[0].high, own.high / known[0].low).interval(confidence)
    return privleak(low, 1.0), privleak(high, 1.0)
