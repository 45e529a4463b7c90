"""TOFU's model utility: the harmonic mean of nine metrics of the sets to be kept."""

from collections.abc import Mapping

from ngdiff.errors import InputError
from ngdiff.metrics.catalogue import key_of
from ngdiff.metrics.means import harmonic_mean

SETS = ("retain", "real_authors", "world_facts")
PARTS = ("probability", "rouge_l_recall", "truth_ratio")


def model_utility(numbers: Mapping[str, Mapping[str, float]]) -> float:
    """Harmonic mean of {probability, ROUGE-L recall, truth ratio} x {retain, real authors, world facts}.

    ROUGE is over Unicode words where a set needs them. Probability is that of the answer for the retain set, and that
    of the answer among the choices for the other two; the truth ratio is the geometric `mean max(0, 1 - R)`. Model
    utility is 0 if one of the nine is 0. Source: TOFU (arXiv 2401.06121) Section 2.2.

    Args:
        numbers: By set, what `ngdiff.metrics.summarize` returned; other sets and numbers are ignored.

    Raises:
        InputError: one of the nine is missing.

    >>> half = {"probability": 0.5, "rouge_l_recall": 0.5, "truth_ratio": 0.5}
    >>> model_utility({"retain": half, "real_authors": half, "world_facts": {**half, "truth_ratio": 0.1}})
    0.34615384615384615
    """
    missing = [f"{part} of {name}" for name in SETS for part in PARTS if part not in numbers.get(name, {})]
    if missing:
        raise InputError(f"model utility needs nine numbers; missing: {', '.join(missing)}")
    nine = (numbers[name][key_of(part, numbers[name])] for name in SETS for part in PARTS)
    return harmonic_mean(nine, "model utility")
