"""The worst rows of a forget set, which a mean hides: a single answer that the model still gives is a failure."""

from collections.abc import Mapping, Sequence
from typing import Any

from ngdiff.metrics.catalogue import UNICODE, metrics_of
from ngdiff.metrics.records import Record, Records
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


def worst_numbers(set_name: str, records: Records, samples: Mapping[str, Sample]) -> dict[str, float | int]:
    """For each watched metric that has records, the largest value, `<metric>_max`, and the number of values above 0.5,
    `<metric>_above_half`; of documents, the number of those with a chunk above 0.5."""
    found: dict[str, float | int] = {}
    for key, sample in _watched_samples(set_name, samples).items():
        found[key + MAX] = float(max(sample.sums))
        found[key + COUNT] = sum(sample.sums[own[0]] > ABOVE for own in _units(set_name, key, records, sample))
    return found


def worst_rows(set_name: str, records: Records, samples: Mapping[str, Sample]) -> dict[str, list[dict[str, Any]]]:
    """For each watched metric, the ten rows with the largest values above 0, worst first: `index` (or else the
    position), `origin` if the record has one, and `value`; no texts of the data. A document is listed once, as its
    worst chunk: `document` replaces `origin`, and `chunks` is the number of its chunks above 0.5."""
    found = {}
    for key, sample in _watched_samples(set_name, samples).items():
        usable = _usable(set_name, key, records)
        order = sorted(_units(set_name, key, records, sample), key=lambda own: -sample.sums[own[0]])[:LISTED]
        found[key] = [
            _entry(*usable[own[0]], [sample.sums[i] for i in own]) for own in order if sample.sums[own[0]] > 0
        ]
    return found


def _usable(set_name: str, key: str, records: Records) -> list[tuple[int, Record]]:
    applies = metrics_of(set_name)[key].applies
    return [(place, record) for place, record in enumerate(records) if applies(record)]


def _units(set_name: str, key: str, records: Records, sample: Sample) -> list[list[int]]:
    """Indices in a sample: each row by itself, the chunks of a document together, the worst first."""
    units: dict[Any, list[int]] = {}
    for i, (place, record) in enumerate(_usable(set_name, key, records)):
        units.setdefault(record.get("document") or place, []).append(i)
    return [sorted(own, key=lambda i: -sample.sums[i]) for own in units.values()]


def _watched_samples(set_name: str, samples: Mapping[str, Sample]) -> dict[str, Sample]:
    keys = [key for key in watched(set_name) if key in samples and samples[key].sums]
    return {key: samples[key] for key in keys if key + UNICODE not in keys}


def _entry(place: int, record: Record, values: Sequence[float]) -> dict[str, Any]:
    index = record.get("index")
    origin = {} if record.get("origin") is None else {"origin": record["origin"]}
    if record.get("document"):
        origin = {"document": record["document"], "chunks": sum(value > ABOVE for value in values)}
    return {"index": place if index is None else index, **origin, "value": float(values[0])}
