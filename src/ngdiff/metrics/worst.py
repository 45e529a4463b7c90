"""The rows that a mean hides: of what is to be forgotten, one answer that is still given is one too many."""

from collections.abc import Mapping, Sequence
from typing import Any

from ngdiff.metrics.catalogue import UNICODE, metrics_of
from ngdiff.metrics.sample import Sample

ABOVE = 0.5  # from here on more of an answer is given than not
LISTED = 10  # rows named in `metrics.json`
MAX, COUNT = "_max", "_above_half"  # follow the key of a metric

_WATCHED = ("rouge_l_recall", "rouge_l_f", "rouge_l_recall_unstemmed", "extraction_strength")


def watched(set_name: str) -> list[str]:
    """Keys of the metrics whose worst rows are told: ROUGE and extraction strength of what is to be forgotten.

    >>> watched("forget"), watched("retain")
    (['rouge_l_recall', 'rouge_l_recall_unicode', 'extraction_strength'], [])
    """
    table = metrics_of(set_name)
    return [key for key in table if key.removesuffix(UNICODE) in _WATCHED and table[key].better == "lower"]


def worst_numbers(set_name: str, samples: Mapping[str, Sample]) -> dict[str, float | int]:
    """Per watched metric with records `<metric>_max`, the largest value, and `<metric>_above_half`, how many exceed
    0.5."""
    found: dict[str, float | int] = {}
    for key, sample in _told(set_name, samples).items():
        found[key + MAX] = float(max(sample.sums))
        found[key + COUNT] = sum(value > ABOVE for value in sample.sums)
    return found


def worst_rows(
    set_name: str, records: Sequence[Mapping[str, Any]], samples: Mapping[str, Sample]
) -> dict[str, list[dict[str, Any]]]:
    """Per watched metric the ten rows with the largest values above 0, worst first: `index` (else the position),
    `origin` where the record has one, and `value`. No text of the data."""
    found = {}
    for key, sample in _told(set_name, samples).items():
        applies = metrics_of(set_name)[key].applies
        usable = [(place, record) for place, record in enumerate(records) if applies(record)]
        order = sorted(range(len(usable)), key=lambda i: -sample.sums[i])[:LISTED]
        found[key] = [_named(*usable[i], sample.sums[i]) for i in order if sample.sums[i] > 0]
    return found


def _told(set_name: str, samples: Mapping[str, Sample]) -> dict[str, Sample]:
    keys = [key for key in watched(set_name) if key in samples and samples[key].sums]
    return {key: samples[key] for key in keys if key + UNICODE not in keys}


def _named(place: int, record: Mapping[str, Any], value: float) -> dict[str, Any]:
    index = record.get("index")
    origin = {} if record.get("origin") is None else {"origin": record["origin"]}
    return {"index": place if index is None else index, **origin, "value": float(value)}
