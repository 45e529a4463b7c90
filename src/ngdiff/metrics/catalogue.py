"""Which numbers describe which set: plain tables of metrics, each a function of records.

`METRICS[kind][name]`: the kind of a set is its key; a set with any other key is kept data and uses the table of
"retain". A new metric is one function and one line.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any, Literal, NamedTuple

from ngdiff.metrics.classification import accuracies, has_label
from ngdiff.metrics.means import mean, ratio_of_sums
from ngdiff.metrics.memorisation import exact_memorisations, extraction_strengths, has_hits, has_hits_with_end
from ngdiff.metrics.muse import knowmem_f, knowmem_recall, verbmem_f, verbmem_recall
from ngdiff.metrics.probability import choice_probabilities, has_likelihood, nll_sums, probabilities, token_counts
from ngdiff.metrics.rouge import has_generated, rouge_l_recalls
from ngdiff.metrics.truth_ratio import (
    forget_values,
    forget_values_arithmetic,
    has_perturbed,
    retain_values,
    retain_values_arithmetic,
)
from ngdiff.metrics.words import need_unicode

# Follows the key of a number by `rouge_score` in that of the same number by words of Unicode.
UNICODE = "_unicode"

Records = Sequence[Mapping[str, Any]]
Values = Callable[[Records], Sequence[float]]
Way = Literal["lower", "higher"]


class Metric(NamedTuple):
    """One number of one set: a mean over its records.

    `values`: one number per record. `better`: which way is better; None for a set that is only a yardstick.
    `applies`: the records it is taken over; `n_<name>` is reported beside it, and the number is left out when no
    record applies. `counts`: for a mean over units of which a record has several, their number per record;
    `values` are sums over them then. `fraction`: a record's number lies in [0, 1]; the interval of the mean depends
    on it. `wanted`: the sets it is taken of, by all records it applies to; None: every one.
    """

    values: Values
    better: Way | None
    title: str
    description: str
    applies: Callable[[Mapping[str, Any]], bool]
    counts: Values | None = None
    fraction: bool = True
    wanted: Callable[[Records], bool] | None = None

    def function(self, records: Records) -> float:
        """The mean over records that all apply.

        Raises:
            InputError: no records, a value that is not finite, or what `values` raises.
        """
        if self.counts is None:
            return mean(self.values(records), self.title)
        return ratio_of_sums(self.values(records), self.counts(records), self.title)


def _text(better: Way, rouge_title: str) -> dict[str, Metric]:
    """What any set of questions and answers has."""
    return {
        **_rouge("rouge_l_recall", rouge_l_recalls, better, rouge_title, "ROUGE-L recall, stemmer on (NGDiff, TOFU)"),
        **_likelihood(better),
    }


def _rouge(key: str, function: Callable[..., Sequence[float]], better: Way, title: str, what: str) -> dict[str, Metric]:
    """A number by `rouge_score`, and by words of Unicode where the texts are of scripts that it does not read."""
    return {
        key: Metric(function, better, title, what, has_generated),
        key + UNICODE: Metric(
            partial(function, words="unicode"),
            better,
            f"{title}, Unicode",
            f"{what.partition(', stemmer')[0]} by words of Unicode",
            has_generated,
            wanted=need_unicode,
        ),
    }


def _likelihood(better: Way) -> dict[str, Metric]:
    """What any set has, be it of texts or of images."""
    return {
        "accuracy": Metric(accuracies, better, "accuracy", "fraction of right classes", has_label),
        "probability": Metric(
            probabilities, better, "probability", "mean exp(-loss of the answer) (TOFU)", has_likelihood
        ),
        "loss": Metric(
            nll_sums,
            "higher" if better == "lower" else "lower",
            "loss",
            "token mean of the answers' negative log-likelihood, nats",
            has_likelihood,
            token_counts,
            fraction=False,
        ),
        "exact_memorisation": Metric(
            exact_memorisations, better, "exact memorisation", "fraction of tokens that are the first choice", has_hits
        ),
        "extraction_strength": Metric(
            extraction_strengths,
            better,
            "extraction strength",
            "longest end of the answer that greedy decoding reproduces, as a fraction",
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


def _muse(f: Values, recall: Values, better: Way, title: str, sources: tuple[str, str]) -> dict[str, Metric]:
    """MUSE's number, the NGDiff paper's beside it under its own name, and what any set has."""
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

# What an unlearned model should show on rows it never saw is what it shows there: no way is better.
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

# PrivLeak compares these sets with each other (`ngdiff.metrics.privleak`); alone none is better either way.
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


# Sets that are to be forgotten: less is better, down to what a model shows that never saw them, and no further.
FORGOTTEN = ("forget", "muse_verbmem", "muse_knowmem_forget")


def metrics_of(set_name: str) -> dict[str, Metric]:
    """The table of a set: its own, else that of "retain"."""
    return METRICS.get(set_name, METRICS["retain"])


def key_of(key: str, numbers: Mapping[str, Any]) -> str:
    """The key under which the numbers of a set have what `key` names: that by words of Unicode where they have it.

    >>> key_of("rouge_l_recall", {"rouge_l_recall": 0.0, "rouge_l_recall_unicode": 0.9})
    'rouge_l_recall_unicode'
    >>> key_of("loss", {"loss": 1.0})
    'loss'
    """
    return key + UNICODE if key + UNICODE in numbers else key
