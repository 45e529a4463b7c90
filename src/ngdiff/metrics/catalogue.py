"""Which metrics describe which set: plain tables, each metric a function of records.

`METRICS[set][name]`; a set that has no table of its own uses that of "retain". A new metric is one function and one
line.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal, NamedTuple

from ngdiff.metrics.classification import accuracies, has_label
from ngdiff.metrics.means import mean, ratio_of_sums
from ngdiff.metrics.memorisation import exact_memorisations, extraction_strengths, has_hits, has_hits_with_end
from ngdiff.metrics.muse import knowmem_f, knowmem_recall, verbmem_f, verbmem_recall
from ngdiff.metrics.probability import choice_probabilities, has_likelihood, nll_sums, probabilities, token_counts
from ngdiff.metrics.records import Record, Records
from ngdiff.metrics.rouge import has_generated, rouge_l_recalls
from ngdiff.metrics.truth_ratio import (
    forget_values,
    forget_values_arithmetic,
    has_perturbed,
    retain_values,
    retain_values_arithmetic,
)
from ngdiff.metrics.words import need_unicode

# Suffix of the key of a ROUGE metric over Unicode words; without it, the words are those of `rouge_score`.
UNICODE = "_unicode"

Values = Callable[[Records], Sequence[float]]
Direction = Literal["lower", "higher"]


class Metric(NamedTuple):
    """One metric of one set: a mean over its records.

    `values`: one number for each record. `better`: the direction that is better; None for a set that only serves as a
    reference. `applies`: whether a record has what the metric needs; `n_<name>` reports how many do, and without any
    the metric is left out. `counts`: for a mean over units, such as tokens, how many each record has; `values` are then
    sums over these units. `fraction`: each value lies in [0, 1], which decides the kind of confidence interval.
    `wanted`: whether the metric is computed for a set, given the records to which it applies; None means always.
    """

    values: Values
    better: Direction | None
    title: str
    description: str
    applies: Callable[[Record], bool]
    counts: Values | None = None
    fraction: bool = True
    wanted: Callable[[Records], bool] | None = None

    def function(self, records: Records) -> float:
        """The mean over records to all of which the metric applies.

        Raises:
            InputError: no records, a value that is not finite, or an error of `values`.
        """
        if self.counts is None:
            return mean(self.values(records), self.title)
        return ratio_of_sums(self.values(records), self.counts(records), self.title)


def _text(better: Direction, rouge_title: str) -> dict[str, Metric]:
    """Metrics of any set of questions and answers."""
    return {
        **_rouge("rouge_l_recall", rouge_l_recalls, better, rouge_title, "ROUGE-L recall, stemmer on (NGDiff, TOFU)"),
        **_likelihood(better),
    }


def _rouge(
    key: str, function: Callable[..., Sequence[float]], better: Direction, title: str, what: str
) -> dict[str, Metric]:
    """A ROUGE metric, and its variant over Unicode words for texts in scripts that `rouge_score` does not support."""
    return {
        key: Metric(function, better, title, what, has_generated),
        key + UNICODE: Metric(
            partial(function, words="unicode"),
            better,
            f"{title}, Unicode",
            f"{what.partition(', stemmer')[0]} over Unicode words",
            has_generated,
            wanted=need_unicode,
        ),
    }


def _likelihood(better: Direction) -> dict[str, Metric]:
    """Metrics of any set, of texts or of images."""
    return {
        "accuracy": Metric(accuracies, better, "accuracy", "fraction of correct classes", has_label),
        "probability": Metric(
            probabilities, better, "probability", "mean exp(-loss of the answer) (TOFU)", has_likelihood
        ),
        "loss": Metric(
            nll_sums,
            "higher" if better == "lower" else "lower",
            "loss",
            "mean negative log-likelihood of the answers per token, or of the labels per image, nats",
            has_likelihood,
            token_counts,
            fraction=False,
        ),
        "exact_memorisation": Metric(
            exact_memorisations, better, "exact memorisation", "fraction of tokens predicted correctly", has_hits
        ),
        "extraction_strength": Metric(
            extraction_strengths,
            better,
            "extraction strength",
            "longest suffix of the answer that greedy decoding reproduces, as a fraction",
            has_hits,
        ),
        "exact_memorisation_with_end": Metric(
            partial(exact_memorisations, with_end=True),
            better,
            "exact memorisation, with end",
            "the same with the end token",
            has_hits_with_end,
        ),
        "extraction_strength_with_end": Metric(
            partial(extraction_strengths, with_end=True),
            better,
            "extraction strength, with end",
            "the same with the end token",
            has_hits_with_end,
        ),
    }


def _muse(f: Values, recall: Values, better: Direction, title: str, sources: tuple[str, str]) -> dict[str, Metric]:
    """MUSE's F-measure, the NGDiff paper's recall, and the metrics of any set."""
    muse, ngdiff = sources
    return {
        **_rouge("rouge_l_f", f, better, f"{title}, F", f"ROUGE-L F, stemmer off (MUSE {muse})"),
        **_rouge(
            "rouge_l_recall_unstemmed",
            recall,
            better,
            f"{title}, recall",
            f"ROUGE-L recall, stemmer off (NGDiff Eq. {ngdiff})",
        ),
        **_likelihood(better),
    }


_FORGET: dict[str, Metric] = {
    **_text("lower", "Verbmem"),
    "truth_ratio": Metric(
        forget_values, "higher", "truth ratio", "mean min(R, 1/R), geometric R (TOFU's results)", has_perturbed
    ),
    "truth_ratio_arithmetic": Metric(
        forget_values_arithmetic,
        "higher",
        "truth ratio, arithmetic",
        "mean min(R, 1/R), arithmetic R (TOFU's printed formula)",
        has_perturbed,
    ),
}

_RETAIN: dict[str, Metric] = {
    **_text("higher", "Utility"),
    "truth_ratio": Metric(
        retain_values, "higher", "truth ratio", "mean max(0, 1 - R), geometric R (TOFU's results)", has_perturbed
    ),
    "truth_ratio_arithmetic": Metric(
        retain_values_arithmetic,
        "higher",
        "truth ratio, arithmetic",
        "mean max(0, 1 - R), arithmetic R (TOFU's printed formula)",
        has_perturbed,
    ),
}

# Holdout rows are the reference: neither direction is better.
_HOLDOUT: dict[str, Metric] = {
    name: metric._replace(better=None, title=metric.title.replace("Utility", "ROUGE-L recall"))
    for name, metric in _RETAIN.items()
}

_CHOICE: dict[str, Metric] = {
    **{
        name: metric._replace(title=metric.title.replace("Utility", "ROUGE-L recall"))
        for name, metric in _RETAIN.items()
    },
    "probability": Metric(
        choice_probabilities,
        "higher",
        "probability",
        "p / (p + sum of the wrong answers' p) (TOFU)",
        lambda record: has_likelihood(record) and has_perturbed(record),
    ),
}

_VERBMEM = _muse(verbmem_f, verbmem_recall, "lower", "VerbMem", ("C1", "8"))
_KNOWMEM_FORGET = _muse(knowmem_f, knowmem_recall, "lower", "KnowMem forget", ("C2", "9"))
_KNOWMEM_RETAIN = _muse(knowmem_f, knowmem_recall, "higher", "KnowMem retain", ("C4", "10"))

# PrivLeak compares these sets with each other (`ngdiff.metrics.privleak`); on their own, neither direction is better.
_PASSAGES: dict[str, Metric] = {name: metric._replace(better=None) for name, metric in _likelihood("higher").items()}

METRICS: dict[str, dict[str, Metric]] = {
    "forget": _FORGET,
    "retain": _RETAIN,
    "holdout": _HOLDOUT,
    "real_authors": _CHOICE,
    "world_facts": _CHOICE,
    "muse_verbmem": _VERBMEM,
    "muse_knowmem_forget": _KNOWMEM_FORGET,
    "muse_knowmem_retain": _KNOWMEM_RETAIN,
    "muse_privleak_forget": _PASSAGES,
    "muse_privleak_retain": _PASSAGES,
    "muse_privleak_holdout": _PASSAGES,
}


# Sets to be forgotten: lower is better, down to the value of a model that never saw them.
FORGOTTEN = ("forget", "muse_verbmem", "muse_knowmem_forget")


def metrics_of(set_name: str) -> dict[str, Metric]:
    """The metrics of a set: its own table, or that of "retain"."""
    return METRICS.get(set_name, METRICS["retain"])


def key_of(key: str, numbers: Mapping[str, Any]) -> str:
    """The key of a metric in the numbers of a set: of its variant over Unicode words where the set has that.

    >>> key_of("rouge_l_recall", {"rouge_l_recall": 0.0, "rouge_l_recall_unicode": 0.9})
    'rouge_l_recall_unicode'
    >>> key_of("loss", {"loss": 1.0})
    'loss'
    """
    return key + UNICODE if key + UNICODE in numbers else key
