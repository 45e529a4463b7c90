"""The input of `ngdiff.metrics.distance`, made from records."""

import math
from collections.abc import Callable, Sequence
from functools import partial

from ngdiff.metrics.membership import SCORES
from ngdiff.metrics.memorisation import exact_memorisations, extraction_strengths, has_hits
from ngdiff.metrics.probability import has_likelihood, losses, probabilities, token_counts
from ngdiff.metrics.records import Record, Records, Sets
from ngdiff.metrics.rouge import has_generated, rouge_l_recalls
from ngdiff.metrics.row_statistics import SIDES, RowValues
from ngdiff.metrics.truth_ratio import forget_values, has_perturbed
from ngdiff.metrics.words import Words, need_unicode

_MIN_K = SCORES["min-20%"]


def row_values(sets: Sets) -> RowValues:
    """The values of the sets "forget" and "holdout", both computed as for a forget set.

    ROUGE uses Unicode words where a set needs them (`ngdiff.metrics.words`). A row that lacks the fields of a value has
    NaN; a value that no row has is omitted.

    Raises:
        InputError: a record that a metric cannot use.

    >>> row_values({"forget": [{"nll_sum": 3.0, "n_tokens": 2}]}).forget
    {'probability': [0.22313016014842982], 'loss': [1.5], 'n_tokens': [2.0]}
    """
    return RowValues(*(_values(sets.get(side, ())) for side in SIDES))


def base_row_values(sets: Sets) -> RowValues:
    """The same for the model whose losses the records hold as `base_model`: only loss and probability."""
    return row_values({side: [record.get("base_model") or {} for record in sets.get(side, ())] for side in SIDES})


def _values(records: Records) -> dict[str, list[float]]:
    words: Words = "unicode" if need_unicode([record for record in records if has_generated(record)]) else "rouge-score"
    rules: dict[str, tuple[Callable[[Records], Sequence[float]], Callable[[Record], bool]]] = {
        "verbmem": (partial(rouge_l_recalls, words=words), has_generated),
        "probability": (probabilities, has_likelihood),
        "loss": (losses, has_likelihood),
        "extraction_strength": (extraction_strengths, has_hits),
        "exact_memorisation": (exact_memorisations, has_hits),
        "truth_ratio": (forget_values, has_perturbed),
        "min-20%": (lambda some: [_MIN_K.function(record) for record in some], _MIN_K.applies),
    }
    found = {}
    for name, (function, applies) in rules.items():
        values = [function([record])[0] if applies(record) else math.nan for record in records]
        if not all(map(math.isnan, values)):
            found[name] = values
    if "loss" in found:  # a row without a loss has no weight in its mean
        found["n_tokens"] = [float(token_counts([r])[0]) if has_likelihood(r) else 1.0 for r in records]
    return found
