"""The worst rows of a forget set, which a mean hides: a single answer that the model still gives is a failure."""

from collections.abc import Mapping, Sequence
from typing import Any

from ngdiff.metrics.catalogue import UNICODE, metrics_of
from ngdiff.metrics.sample import Sample

ABOVE = 0.5  # above this, the model gives more than half of an answer
LISTED = 10  # rows named in `metrics.json`
MAX, COUNT = "_max", "_above_half"  # suffixes of the key of a metric

_WATCHED = ("rouge_l_recall", "rouge_l_f", "rouge_l_recall_unstemmed", "extraction_strength")


def watched(set_name: str) -> list[str]:
    """Keys of the metrics whose worst rows are reported: ROUGE and extraction strength of sets to be forgotten.

    >>> watched("forget"), watched("retain")
    (['rouge_l_recall', 'rouge_l_recall_unicode', 'extraction_strength'], [])
    """
    table = metrics_of(set_name)
    return [key for key in table if key.removesuffix(UNICODE) in _WATCHED and table[key].better == "lower"]


def worst_numbers(set_name: str, samples: Mapping[str, Sample]) -> dict[str, float | int]:
    """For each watched metric that has records, the largest value, `<metric>_max`, and the number of values above 0.5,
    `<metric>_above_half`."""
    found: dict[str, float | int] = {}
    for key, sample in _watched_samples(set_name, samples).items():
        found[key + MAX] = float(max(sample.sums))
        found[key + COUNT] = sum(value > ABOVE for value in sample.sums)
    return found


def worst_rows(
    set_name: str, records: Sequence[Mapping[str, Any]], samples: Mapping[str, Sample]
) -> dict[str, list[dict[str, Any]]]:
    """For each watched metric, the ten rows with the largest values above 0, worst first: `index` (or else the
    position), `origin` if the record has one, and `value`; no texts of the data."""
    found = {}
    for key, sample in _watched_samples(set_name, samples).items():
        applies = metrics_of(set_name)[key].applies
        usable = [(place, record) for place, record in enumerate(records) if applies(record)]
        order = sorted(range(len(usable)), key=lambda i: -sample.sums[i])[:LISTED]
        found[key] = [_entry(*usable[i], sample.sums[i]) for i in order if sample.sums[i] > 0]
    return found


def _watched_samples(set_name: str, samples: Mapping[str, Sample]) -> dict[str, Sample]:
    keys = [key for key in watched(set_name) if key in samples and samples[key].sums]
    return {key: samples[key] for key in keys if key + UNICODE not in keys}


def _entry(place: int, record: Mapping[str, Any], value: float) -> dict[str, Any]:
    index = record.get("index")
    origin = {} if record.get("origin") is None else {"origin": record["origin"]}
    return {"index": place if index is None else index, **origin, "value": float(value)}
