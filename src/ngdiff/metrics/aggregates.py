"""The field's four aggregates (OpenUnlearning, arXiv 2506.12618): Memorisation, Privacy, Utility, Robustness.

Each is a harmonic mean of fractions: higher is better, and one low part keeps the whole low. Robustness comes from an
audit of the model (`ngdiff.metrics.robustness`).
"""

import math
from collections.abc import Mapping
from typing import Any

from ngdiff.metrics.means import harmonic_mean, mean
from ngdiff.metrics.memorisation import exact_memorisations, extraction_strengths, has_hits
from ngdiff.metrics.probability import probabilities
from ngdiff.metrics.records import Records
from ngdiff.metrics.truth_ratio import has_perturbed, log_truth_ratio

# Membership scores (`ngdiff.metrics.membership.SCORES`) that the Privacy score averages.
ATTACKS = ("loss", "loss/zlib", "min-40%", "min-40%++")


def memorisation_score(records: Records) -> float | None:
    """Harmonic mean of `1 - x` over four means x: extraction strength, exact memorisation, probability of the
    paraphrased answer, and truth ratio in OpenUnlearning's form, `p_right / (p_right + p_wrong) = 1 / (1 + R)` with
    the geometric R.

    1 means that nothing is memorised; a model that never saw the rows also scores below 1. None if no record has the
    fields of one of the four.

    >>> other = {"nll_sum": 2.0, "n_tokens": 1}
    >>> row = {"token_hit": [1, 0], "paraphrased": other, "perturbed": [other]}
    >>> round(memorisation_score([row]), 4)  # 1 - {0, 1/2, e^-2, 1/2}
    0.6497
    """
    recited = [record for record in records if has_hits(record)]
    rephrased = [record["paraphrased"] for record in records if record.get("paraphrased")]
    judged = [record for record in records if has_perturbed(record)]
    if not (recited and rephrased and judged):
        return None
    parts = (
        mean(extraction_strengths(recited), "extraction strength"),
        mean(exact_memorisations(recited), "exact memorisation"),
        mean(probabilities(rephrased), "probability of the paraphrased answer"),
        mean((_logistic(-log_truth_ratio(record)) for record in judged), "truth ratio"),
    )
    return harmonic_mean((1 - part for part in parts), "memorisation")


def privacy_score(
    membership: Mapping[str, Mapping[str, Any]], retrained: Mapping[str, Mapping[str, Any]]
) -> float | None:
    """Harmonic mean over `ATTACKS` of `1 - |A - A_r| / max(A_r, 1 - A_r)`, where A is the AUC of the attack on the
    model and `A_r` its AUC on the retrained model: 1 where both are equal, 0 where they differ as much as they can.

    None if an attack has no AUC on one of the two models.

    Args:
        membership, retrained: What `ngdiff.metrics.membership` returned for each model.

    >>> half, sure = ({name: {"auc": area} for name in ATTACKS} for area in (0.5, 1.0))
    >>> privacy_score(half, half), privacy_score(sure, half)
    (1.0, 0.0)
    """
    pairs = [(membership.get(name, {}).get("auc"), retrained.get(name, {}).get("auc")) for name in ATTACKS]
    known = [(float(own), float(other)) for own, other in pairs if own is not None and other is not None]
    if len(known) < len(ATTACKS):
        return None
    return harmonic_mean((1 - abs(own - other) / max(other, 1 - other) for own, other in known), "privacy")


def aggregates(
    forget: Records,
    membership: Mapping[str, Mapping[str, Any]],
    retrained: Mapping[str, Mapping[str, Any]],
    model_utility: float | None,
    robustness: float | None = None,
) -> dict[str, float | None]:
    """`memorisation`, `privacy`, `utility` and `robustness`; None for those that are unknown.

    OpenUnlearning's Utility is the harmonic mean of model utility and of the fluency that a classifier from the hub
    assigns. No classifier is used here: Utility is model utility alone.
    """
    return {
        "memorisation": memorisation_score(forget),
        "privacy": privacy_score(membership, retrained),
        "utility": model_utility,
        "robustness": robustness,
    }


def _logistic(value: float) -> float:
    return 1 / (1 + math.exp(-value)) if value >= 0 else math.exp(value) / (1 + math.exp(value))
