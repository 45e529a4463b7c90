"""All numbers of a set, and the few of the whole evaluation, from records alone."""

from collections.abc import Mapping, Sequence
from typing import Any

from ngdiff.errors import InputError
from ngdiff.metrics.catalogue import key_of
from ngdiff.metrics.sample import Sample, samples_of
from ngdiff.metrics.utility import PARTS, SETS, model_utility
from ngdiff.metrics.words import Words, has_words, is_of_other_script
from ngdiff.metrics.worst import worst_numbers


def summarize(set_name: str, records: Sequence[Mapping[str, Any]]) -> dict[str, float | int]:
    """The metrics of one set by name, with counts.

    `n` is the number of records, `n_<metric>` the number a metric was taken over (a metric that no record can
    serve is left out, its count says 0), `n_no_words` the number of references in which ROUGE (by words of Unicode
    where the set is compared in these) sees no word and which therefore can only score 0, `n_end_unknown` (only where
    there are any) the number of records with `token_hit` that do not say which label is the end token, as none did
    before they had `n_end`: it counts in memorisation and min-k then. Where records say so: `n_cut`, how many rows were
    cut because they were too long; `n_pieces` and `n_in_pieces`, how many records are pieces of a long text, and of how
    many texts. Of sets to be forgotten also `worst_numbers`.

    Raises:
        InputError: no records, or a record that a metric cannot use (see the metric).
    """
    return summarize_samples(set_name, records, samples_of(set_name, records))


def summarize_samples(
    set_name: str, records: Sequence[Mapping[str, Any]], samples: Mapping[str, Sample]
) -> dict[str, float | int]:
    """`summarize` from samples that are known already."""
    if not records:
        raise InputError(f"set {set_name!r} has no records to score")
    result: dict[str, float | int] = {"n": len(records)}
    for name, sample in samples.items():
        if sample.sums:
            result[name] = sample.mean()
        result[f"n_{name}"] = len(sample.sums)
    result.update(worst_numbers(set_name, samples))
    references = [record["reference"] for record in records if record.get("reference") is not None]
    words: Words = "unicode" if any(map(is_of_other_script, references)) else "rouge-score"
    result["n_no_words"] = sum(not has_words(reference, words) for reference in references)
    if any(record.get("n_cut") is not None for record in records):
        result["n_cut"] = sum(bool(record.get("n_cut")) for record in records)
    if pieces := [record["piece"] for record in records if record.get("piece")]:
        result["n_pieces"] = len(pieces)
        result["n_in_pieces"] = sum(number == 1 for number, _ in pieces)
    unknown = sum(record.get("token_hit") is not None and record.get("n_end") is None for record in records)
    if unknown:
        result["n_end_unknown"] = unknown
    return result


def headline(numbers: Mapping[str, Mapping[str, float | int]]) -> dict[str, float]:
    """The numbers of the NGDiff paper's tables, and TOFU's model utility where its three sets are there.

    Keys, each only where the sets allow it: `verbmem` (forget ROUGE-L recall, by words of Unicode where the set has
    that), `utility` (the same of retain), `truth_ratio` (of the forget set), `model_utility` (only where every record
    served every one of the nine).

    Args:
        numbers: per set what `summarize` gives.

    >>> headline({"forget": {"n": 2, "rouge_l_recall": 0.25, "n_rouge_l_recall": 2}})
    {'verbmem': 0.25}
    """
    result = {}
    for key, set_name, metric in (
        ("verbmem", "forget", "rouge_l_recall"),
        ("utility", "retain", "rouge_l_recall"),
        ("truth_ratio", "forget", "truth_ratio"),
    ):
        own = numbers.get(set_name, {})
        if metric in own:
            result[key] = float(own[key_of(metric, own)])
    if all(_complete(numbers.get(name, {})) for name in SETS):
        result["model_utility"] = model_utility(numbers)
    return result


def _complete(numbers: Mapping[str, float | int]) -> bool:
    return all(part in numbers and numbers.get(f"n_{part}", numbers["n"]) == numbers["n"] for part in PARTS)
