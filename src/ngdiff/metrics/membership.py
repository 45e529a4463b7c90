"""Membership inference: can forget rows be distinguished from rows the model never saw?

Each score is a number for one record, **lower for rows the model was trained on**. Its AUC
(`ngdiff.metrics.auc`) takes the forget set as members and the holdout set as non-members: 1 if every forget row
still looks trained on, 0.5 if the two are indistinguishable, below 0.5 if forget rows look less familiar than
unseen ones (over-forgetting). The target is the AUC of a model retrained without the forget set, which differs
from 0.5 if the distributions of the two sets differ.
"""

import math
import zlib
from collections.abc import Callable
from functools import partial
from typing import Any, NamedTuple

from ngdiff.errors import InputError
from ngdiff.metrics.auc import auc, auc_interval
from ngdiff.metrics.labels import without_end
from ngdiff.metrics.probability import answer_loss
from ngdiff.metrics.records import Record, Records, record_name

PERCENTAGES = (5, 10, 20, 30, 40, 50, 60)


class Score(NamedTuple):
    """One score: a `function` of a record, and `needs`, the fields it requires.

    `per_token`: the field with one value for each token, of which those of the end are ignored; a record without any
    other values has no score.
    """

    function: Callable[[Record], float]
    description: str
    needs: tuple[str, ...]
    per_token: str | None = None

    def applies(self, record: Record) -> bool:
        """Whether the record has what the score needs."""
        if not all(record.get(field) is not None for field in self.needs):
            return False
        return self.per_token is None or not record[self.per_token] or bool(without_end(record, self.per_token))


def loss(record: Record) -> float:
    """Mean loss of the answer, nats per token (Yeom et al. 2018)."""
    return answer_loss(record, record_name(record))


def loss_over_lower(record: Record) -> float:
    """Loss divided by the loss of the lower-cased text (Carlini et al. 2021, Section 5.2)."""
    return _ratio(loss(record), answer_loss(record["lowercase"], record_name(record)))


def loss_over_zlib(record: Record) -> float:
    """Loss divided by the zlib-compressed size of the text in bytes, so that simple texts do not look like members.

    Carlini et al. 2021, Section 5.2, in MUSE's form: mean loss divided by the length of `zlib.compress` of the
    UTF-8 bytes.
    """
    text = str(record["reference"])
    if record.get("n_given"):  # the text begins in the prompt; the loss covers all of it
        text = str(record.get("prompt") or "") + text
    return loss(record) / len(zlib.compress(text.encode("utf-8", "surrogatepass")))


def loss_over_reference(record: Record) -> float:
    """Loss divided by the loss under a reference model, such as the one before fine-tuning (Carlini et al. 2021)."""
    return _ratio(loss(record), _reference_loss(record))


def loss_minus_reference(record: Record) -> float:
    """Loss minus the loss under a reference model, nats per token: the calibrated loss of Watson et al. 2022."""
    return loss(record) - _reference_loss(record)


def min_k(record: Record, percent: int, *, with_end: bool = False) -> float:
    """Minus the mean log-probability of the `int(percent / 100 * n)` least probable of the n tokens.

    Min-K% Prob (Shi et al. 2024, arXiv 2310.16789), in MUSE's form, but with at least one token: without any, the
    original gives NaN. The end token is not part of the text and counts only `with_end`.

    >>> min_k({"token_nll": [0.1, 5.0, 0.2, 3.0]}, 50)
    4.0
    """
    return _mean_of_largest(record, "token_nll", 1.0, percent, with_end)


def min_k_plus_plus(record: Record, percent: int, *, with_end: bool = False) -> float:
    """Minus the mean of the `int(percent / 100 * n)` smallest `token_z`, at least one; the end token as in `min_k`.

    `z_t = (log p(y_t) - mu_t) / sigma_t`, with the mean mu and standard deviation sigma of log p over the vocabulary
    under p: Min-K%++ (Zhang et al. 2024, arXiv 2404.02936, Equation 3).
    """
    return _mean_of_largest(record, "token_z", -1.0, percent, with_end)


def grad_norm(record: Record) -> float:
    """Norm of the gradient of the answer's mean loss (Maini et al. 2021; Nasr et al. 2019, "white-box")."""
    return float(record["grad_norm"])


SCORES: dict[str, Score] = {
    "loss": Score(loss, "mean loss", ("nll_sum",)),
    "loss/lower": Score(loss_over_lower, "loss / loss of the lower-cased text", ("nll_sum", "lowercase")),
    "loss/zlib": Score(loss_over_zlib, "loss / compressed length", ("nll_sum", "reference")),
    "loss/reference": Score(loss_over_reference, "loss / loss of a reference model", ("nll_sum", "base_model")),
    "loss-reference": Score(loss_minus_reference, "loss - loss of a reference model", ("nll_sum", "base_model")),
    **{f"min-{k}%": Score(partial(min_k, percent=k), f"Min-{k}%", ("token_nll",), "token_nll") for k in PERCENTAGES},
    **{
        f"min-{k}%++": Score(partial(min_k_plus_plus, percent=k), f"Min-{k}%++", ("token_z",), "token_z")
        for k in PERCENTAGES
    },
    **{
        f"min-{k}%{plus}_with_end": Score(
            partial(function, percent=k, with_end=True), f"Min-{k}%{plus}, end token included", (field,)
        )
        for plus, function, field in (("", min_k, "token_nll"), ("++", min_k_plus_plus, "token_z"))
        for k in PERCENTAGES
    },
    "grad-norm": Score(grad_norm, "norm of the gradient", ("grad_norm",)),
}


def values(score: Score, records: Records) -> list[float]:
    """The score of every record to which it applies.

    Raises:
        InputError: a value is NaN; the message names the record.
    """
    found = []
    for record in records:
        if score.applies(record):
            value = score.function(record)
            if math.isnan(value):
                raise InputError(f"{record_name(record)}: {score.description} is NaN")
            found.append(value)
    return found


def membership(
    forget: Records, holdout: Records, *, confidence: float | None = None, seed: int = 0
) -> dict[str, dict[str, Any]]:
    """For each score of `SCORES`: the numbers of records that have it, `n_forget` and `n_holdout`, and its `auc`; with
    `confidence` and two records on each side also its `interval` [low, high] (`auc_interval`).

    If no record of one side has the score, only the numbers of records are given.

    >>> low, high = {"nll_sum": 1.0, "n_tokens": 4}, {"nll_sum": 8.0, "n_tokens": 4}
    >>> membership([low, low], [low, high])["loss"]
    {'n_forget': 2, 'n_holdout': 2, 'auc': 0.75}
    """
    result = {}
    for name, score in SCORES.items():
        members, others = values(score, forget), values(score, holdout)
        found: dict[str, Any] = {"n_forget": len(members), "n_holdout": len(others)}
        if members and others:
            found["auc"] = auc(members, others)
            if confidence is not None and min(len(members), len(others)) > 1:
                found["interval"] = list(auc_interval(members, others, confidence=confidence, seed=seed))
        result[name] = found
    return result


def _ratio(own: float, other: float) -> float:
    """`own / other`; 1 if both are equal, also if both are 0; infinite if only `other` is 0."""
    if own == other:
        return 1.0
    return own / other if other else math.inf


def _reference_loss(record: Record) -> float:
    return answer_loss(record["base_model"], f"{record_name(record)}, base_model")


def _mean_of_largest(record: Record, field: str, sign: float, percent: int, with_end: bool) -> float:
    """Mean of the largest `percent` of `sign * record[field]`."""
    found = sorted((sign * value for value in without_end(record, field, with_end=with_end)), reverse=True)
    if not found:
        raise InputError(f"{record_name(record)}: {field} is empty; a mean of tokens needs at least one")
    if any(math.isnan(value) for value in found):
        raise InputError(f"{record_name(record)}: {field} holds NaN")
    taken = found[: max(1, len(found) * percent // 100)]
    return math.fsum(taken) / len(taken)
