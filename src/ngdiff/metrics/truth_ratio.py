"""Truth ratio: the probability of wrong answers relative to that of a correct one.

With `l` the loss per token of an answer (nats), `p` the paraphrased correct answer and `1..m` the perturbed
wrong ones:

- geometric `R = exp(l_p - mean_j l_j)`: the geometric mean of the wrong answers' probabilities divided by the
  correct one's. TOFU's published results use this form (`aggregate_eval_stat.py`), although the paper prints the other.
- arithmetic `R = mean_j exp(-l_j) / exp(-l_p)`: the formula in the paper (arXiv 2401.06121, Section 2.2).

The two differ. A set is summarised as `mean min(R, 1/R)` for the forget set (1: correct and wrong answers are equally
probable) and as `mean max(0, 1 - R)` for any other set (1: the correct answer is certain). Higher is better in both.

If a record has no paraphrased answer, its reference answer is used, as TOFU does for real authors and world facts.
Everything is computed from `log R`, so that overflow and underflow of R do no harm.
"""

import math

from ngdiff.errors import InputError
from ngdiff.metrics.means import mean
from ngdiff.metrics.probability import answer_loss
from ngdiff.metrics.records import Record, Records, record_name


def has_perturbed(record: Record) -> bool:
    """Whether the record has the perturbed answers that a truth ratio needs."""
    return bool(record.get("perturbed"))


def _answer_losses(record: Record) -> tuple[float, list[float]]:
    name = record_name(record)
    if not has_perturbed(record):
        raise InputError(f"{name}: a truth ratio needs perturbed answers, but this record has none")
    right = answer_loss(record.get("paraphrased") or record, name)
    wrong = [answer_loss(other, name) for other in record["perturbed"]]
    if math.isinf(right) or any(math.isinf(value) for value in wrong):
        raise InputError(f"{name}: an answer has probability 0 (infinite loss), so its truth ratio is undefined")
    return right, wrong


def log_truth_ratio(record: Record) -> float:
    """`log R = l_p - mean_j l_j`, geometric.

    Raises:
        InputError: no perturbed answers, or an answer with infinite loss.

    >>> log_truth_ratio({"paraphrased": {"nll_sum": 2.0, "n_tokens": 2}, "perturbed": [
    ...     {"nll_sum": 4.0, "n_tokens": 2}, {"nll_sum": 12.0, "n_tokens": 3}]})
    -2.0
    """
    right, wrong = _answer_losses(record)
    return right - math.fsum(wrong) / len(wrong)


def log_truth_ratio_arithmetic(record: Record) -> float:
    """`log R = log mean_j exp(-l_j) + l_p`, arithmetic. Raises as `log_truth_ratio` does."""
    right, wrong = _answer_losses(record)
    least = min(wrong)
    return right - least + math.log(math.fsum(math.exp(least - value) for value in wrong) / len(wrong))


def truth_ratios(records: Records) -> list[float]:
    """Geometric `R` per record; infinite if it exceeds the largest float."""
    return [_exp(log_truth_ratio(record)) for record in records]


def forget_rule(log_ratio: float) -> float:
    """`min(R, 1/R) = exp(-|log R|)`.

    >>> forget_rule(math.log(4.0)), forget_rule(math.log(0.25)), forget_rule(-1e9)
    (0.25, 0.25, 0.0)
    """
    return math.exp(-abs(log_ratio))


def retain_rule(log_ratio: float) -> float:
    """`max(0, 1 - R)`.

    >>> retain_rule(math.log(0.25)), retain_rule(math.log(4.0)), retain_rule(1e9)
    (0.75, 0.0, 0.0)
    """
    return -math.expm1(log_ratio) if log_ratio < 0 else 0.0


def forget_values(records: Records) -> list[float]:
    """`min(R, 1/R)` per record, geometric."""
    return [forget_rule(log_truth_ratio(record)) for record in records]


def retain_values(records: Records) -> list[float]:
    """`max(0, 1 - R)` per record, geometric."""
    return [retain_rule(log_truth_ratio(record)) for record in records]


def forget_values_arithmetic(records: Records) -> list[float]:
    """`min(R, 1/R)` per record, arithmetic."""
    return [forget_rule(log_truth_ratio_arithmetic(record)) for record in records]


def retain_values_arithmetic(records: Records) -> list[float]:
    """`max(0, 1 - R)` per record, arithmetic."""
    return [retain_rule(log_truth_ratio_arithmetic(record)) for record in records]


def forget_truth_ratio(records: Records) -> float:
    """Mean of `min(R, 1/R)`, geometric: TOFU's truth ratio of the forget set."""
    return mean(forget_values(records), "truth ratio")


def retain_truth_ratio(records: Records) -> float:
    """Mean of `max(0, 1 - R)`, geometric: TOFU's truth ratio of every other set."""
    return mean(retain_values(records), "truth ratio")


def forget_truth_ratio_arithmetic(records: Records) -> float:
    """Mean of `min(R, 1/R)`, arithmetic."""
    return mean(forget_values_arithmetic(records), "truth ratio")


def retain_truth_ratio_arithmetic(records: Records) -> float:
    """Mean of `max(0, 1 - R)`, arithmetic."""
    return mean(retain_values_arithmetic(records), "truth ratio")


def _exp(value: float) -> float:
    return math.exp(value) if value < 709 else math.inf  # exp(709.78) is the largest float64
