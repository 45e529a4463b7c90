"""Which numbers describe which set: plain tables of metrics, each a function of records.

`METRICS[kind][name]`: the kind of a set is its key ("forget", "retain", "holdout", "real_authors",
"world_facts"); a set with any other key is kept data and uses the table of "retain". A new metric is one
function and one line.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple

from ngdiff.metrics.probability import choice_probability, loss, probability
from ngdiff.metrics.rouge import rouge_l_recall
from ngdiff.metrics.truth_ratio import (
    forget_truth_ratio,
    forget_truth_ratio_arithmetic,
    has_perturbed,
    retain_truth_ratio,
    retain_truth_ratio_arithmetic,
)

Records = Sequence[Mapping[str, Any]]


def has_generated(record: Mapping[str, Any]) -> bool:
    """Whether the record has a generated answer (an empty one counts)."""
    return record.get("generated") is not None


class Metric(NamedTuple):
    """One number of one set.

    `better`: which way is better; None for a set that is only a yardstick. `applies`: the records it is taken
    over (all when None); `n_<name>` is reported beside it then, and the number is left out when no record
    applies.
    """

    function: Callable[[Records], float]
    better: Literal["lower", "higher"] | None
    title: str
    description: str
    applies: Callable[[Mapping[str, Any]], bool] | None = None


_FORGET: dict[str, Metric] = {
    "rouge_l_recall": Metric(
        rouge_l_recall, "lower", "Verbmem", "ROUGE-L recall, stemmer on (NGDiff, TOFU)", has_generated
    ),
    "probability": Metric(probability, "lower", "probability", "mean exp(-loss of the answer) (TOFU)"),
    "loss": Metric(loss, "higher", "loss", "token mean of the answers' negative log-likelihood, nats"),
    "truth_ratio": Metric(
        forget_truth_ratio,
        "higher",
        "truth ratio",
        "mean min(R, 1/R), geometric R (TOFU's results)",
        has_perturbed,
    ),
    "truth_ratio_arithmetic": Metric(
        forget_truth_ratio_arithmetic,
        "higher",
        "truth ratio, arithmetic",
        "mean min(R, 1/R), arithmetic R (TOFU's printed formula)",
        has_perturbed,
    ),
}

_RETAIN: dict[str, Metric] = {
    "rouge_l_recall": Metric(
        rouge_l_recall, "higher", "Utility", "ROUGE-L recall, stemmer on (NGDiff, TOFU)", has_generated
    ),
    "probability": Metric(probability, "higher", "probability", "mean exp(-loss of the answer) (TOFU)"),
    "loss": Metric(loss, "lower", "loss", "token mean of the answers' negative log-likelihood, nats"),
    "truth_ratio": Metric(
        retain_truth_ratio,
        "higher",
        "truth ratio",
        "mean max(0, 1 - R), geometric R (TOFU's results)",
        has_perturbed,
    ),
    "truth_ratio_arithmetic": Metric(
        retain_truth_ratio_arithmetic,
        "higher",
        "truth ratio, arithmetic",
        "mean max(0, 1 - R), arithmetic R (TOFU's printed formula)",
        has_perturbed,
    ),
}

# What an unlearned model should show on rows it never saw is what it shows there: no way is better.
_HOLDOUT: dict[str, Metric] = {
    name: metric._replace(better=None, title="ROUGE-L recall" if name == "rouge_l_recall" else metric.title)
    for name, metric in _RETAIN.items()
}

_CHOICE: dict[str, Metric] = {
    **_RETAIN,
    "rouge_l_recall": _RETAIN["rouge_l_recall"]._replace(title="ROUGE-L recall"),
    "probability": Metric(
        choice_probability,
        "higher",
        "probability",
        "p / (p + sum of the wrong answers' p) (TOFU)",
        has_perturbed,
    ),
}

METRICS: dict[str, dict[str, Metric]] = {
    "forget": _FORGET,
    "retain": _RETAIN,
    "holdout": _HOLDOUT,
    "real_authors": _CHOICE,
    "world_facts": _CHOICE,
}


def metrics_of(set_name: str) -> dict[str, Metric]:
    """The table of a set: its own, else that of "retain"."""
    return METRICS.get(set_name, METRICS["retain"])
