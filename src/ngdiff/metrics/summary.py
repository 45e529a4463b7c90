"""All metrics of a set, and the headline numbers of an evaluation, from records."""

from collections.abc import Mapping

from ngdiff.errors import InputError
from ngdiff.metrics.catalogue import key_of
from ngdiff.metrics.records import Records
from ngdiff.metrics.sample import Sample, samples_of
from ngdiff.metrics.utility import PARTS, SETS, model_utility
from ngdiff.metrics.words import Words, has_words, is_of_other_script
from ngdiff.metrics.worst import worst_numbers


def summarize(set_name: str, records: Records) -> dict[str, float | int]:
    """The metrics of one set by name, with counts.

    - `n`: number of records;
    - `n_<metric>`: number of records to which a metric applies; if 0, the metric is left out;
    - `n_no_words`: number of references without a word that ROUGE recognises, which can only score 0;
    - `n_end_unknown`, if above 0: number of records with `token_hit` but without `n_end`, as earlier versions wrote
      them; memorisation and min-k then include their end token;
    - `n_cut`, if the records have that field: number of rows that were cut because they were too long;
    - `n_pieces` and `n_in_pieces`, if any: number of records that are pieces of a long text, and of such texts;
    - `n_documents`, if any: number of documents that the records are chunks of;
    - for sets to be forgotten, `worst_numbers`.

    Raises:
        InputError: no records, or a record that a metric cannot use (see the metric).
    """
    return summarize_samples(set_name, records, samples_of(set_name, records))


def summarize_samples(set_name: str, records: Records, samples: Mapping[str, Sample]) -> dict[str, float | int]:
    """`summarize`, given the samples."""
    if not records:
        raise InputError(f"set {set_name!r} has no records to score")
    result: dict[str, float | int] = {"n": len(records)}
    for name, sample in samples.items():
        if sample.sums:
            result[name] = sample.mean()
        result[f"n_{name}"] = len(sample.sums)
    result.update(worst_numbers(set_name, records, samples))
    references = [record["reference"] for record in records if record.get("reference") is not None]
    words: Words = "unicode" if any(map(is_of_other_script, references)) else "rouge-score"
    result["n_no_words"] = sum(not has_words(reference, words) for reference in references)
    if any(record.get("n_cut") is not None for record in records):
        result["n_cut"] = sum(bool(record.get("n_cut")) for record in records)
    if pieces := [record["piece"] for record in records if record.get("piece")]:
        result["n_pieces"] = len(pieces)
        result["n_in_pieces"] = sum(number == 1 for number, _ in pieces)
    if documents := {record["document"] for record in records if record.get("document")}:
        result["n_documents"] = len(documents)
    unknown = sum(record.get("token_hit") is not None and record.get("n_end") is None for record in records)
    if unknown:
        result["n_end_unknown"] = unknown
    return result


def headline(numbers: Mapping[str, Mapping[str, float | int]]) -> dict[str, float]:
    """The numbers of the NGDiff paper's tables, and TOFU's model utility if its three sets are present.

    Keys, each present if the sets allow it: `verbmem` (ROUGE-L recall of the forget set, over Unicode words where the
    set needs them), `utility` (the same for the retain set), `truth_ratio` (of the forget set), `model_utility` (only
    if each of its nine parts applies to all records of its set).

    Args:
        numbers: By set, what `summarize` returned.

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
