"""Loss and probability of answers, from sums and counts."""

import math
from collections.abc import Mapping
from typing import Any

from ngdiff.errors import InputError
from ngdiff.metrics.means import mean, ratio_of_sums
from ngdiff.metrics.records import Record, Records, record_name


def answer_loss(likelihood: Mapping[str, Any], name: str = "the record") -> float:
    """`nll_sum / n_tokens`: mean negative log-likelihood of one answer in nats per token, its end token
    included.

    Args:
        likelihood: A record, or one of its `paraphrased` / `perturbed` parts.
        name: Its name in error messages.

    Raises:
        InputError: the answer has no token, or its loss is NaN.

    >>> answer_loss({"nll_sum": 3.0, "n_tokens": 4})
    0.75
    """
    n_tokens = likelihood["n_tokens"]
    if n_tokens < 1:
        raise InputError(f"{name}: the answer has {n_tokens} tokens; a loss needs at least one")
    nll_sum = float(likelihood["nll_sum"])
    if math.isnan(nll_sum):
        raise InputError(f"{name}: nll_sum is NaN; the model that wrote this record gave no probability")
    return nll_sum / float(n_tokens)


def losses(records: Records) -> list[float]:
    """Mean loss of the reference answer per record, nats per token."""
    return [answer_loss(record, record_name(record)) for record in records]


def nll_sums(records: Records) -> list[float]:
    """Negative log-likelihood of the whole reference answer per record, nats."""
    losses(records)  # raises for a record without tokens or with NaN
    return [float(record["nll_sum"]) for record in records]


def token_counts(records: Records) -> list[int]:
    """Tokens of the reference answer per record, its end token included."""
    return [int(record["n_tokens"]) for record in records]


def has_likelihood(record: Record) -> bool:
    """Whether the record says how probable its reference answer is."""
    return record.get("nll_sum") is not None


def loss(records: Records) -> float:
    """Token mean over the whole set, `sum nll_sum / sum n_tokens`, in nats per token.

    This is the quantity that training logs and that is compared with the forget ceiling. TOFU averages the losses of
    the examples instead, which gives tokens of short answers more weight.

    >>> loss([{"nll_sum": 1.0, "n_tokens": 1}, {"nll_sum": 2.0, "n_tokens": 5}])
    0.5
    """
    return ratio_of_sums(nll_sums(records), token_counts(records), "loss")


def probabilities(records: Records) -> list[float]:
    """`exp(-nll_sum / n_tokens)` per record: the geometric mean probability of an answer's token."""
    return [math.exp(-value) for value in losses(records)]


def probability(records: Records) -> float:
    """Mean of `probabilities`; a fraction in [0, 1]. Source: TOFU (arXiv 2401.06121) Section 2.2.

    >>> probability([{"nll_sum": 0.0, "n_tokens": 3}, {"nll_sum": float("inf"), "n_tokens": 1}])
    0.5
    """
    return mean(probabilities(records), "probability")


def choice_probabilities(records: Records) -> list[float]:
    """`p / (p + sum_j p_j)` per record: the answer against its perturbed answers, `p = exp(-loss)`.

    TOFU's probability for real authors and world facts, which are multiple-choice questions. Computed from loss
    differences, so that it is exact even if every p underflows.

    Raises:
        InputError: a record has no perturbed answers, or every choice has probability 0.

    >>> other = {"nll_sum": 2.0, "n_tokens": 2}
    >>> choice_probabilities([{"nll_sum": 1.0, "n_tokens": 1, "perturbed": [other]}])
    [0.5]
    """
    values = []
    for record in records:
        name = record_name(record)
        if not record.get("perturbed"):
            raise InputError(f"{name}: no perturbed answers to compare the answer with")
        own = answer_loss(record, name)
        others = [answer_loss(other, name) for other in record["perturbed"]]
        least = min(own, *others)
        if math.isinf(least):
            raise InputError(f"{name}: the answer and its perturbed answers all have probability 0")
        values.append(math.exp(least - own) / math.fsum(math.exp(least - value) for value in (own, *others)))
    return values


def choice_probability(records: Records) -> float:
    """Mean of `choice_probabilities`; a fraction in [0, 1]."""
    return mean(choice_probabilities(records), "probability among the choices")
