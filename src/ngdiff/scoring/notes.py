"""Notes below a table on the rows behind its numbers."""

from collections.abc import Mapping
from typing import Any

from ngdiff.metrics import UNICODE, metrics_of
from ngdiff.plurals import number_of
from ngdiff.scoring.quantities import shown


def row_notes(set_name: str, numbers: Mapping[str, Any]) -> list[str]:
    """Notes on the rows of one set, from the counts of `ngdiff.metrics.summarize`.

    >>> row_notes("forget", {"n": 20, "n_end_unknown": 20})[0][:70]
    'note: 20 of 20 forget records do not say which token ends their answer'
    """
    notes = []
    if numbers.get("n_no_words"):
        known = "word" if any(map(_is_unicode, numbers)) else "word that ROUGE recognises (a-z, 0-9)"
        notes.append(
            f"note: {numbers['n_no_words']} of {numbers['n']} {set_name} answers contain no {known}; they count as 0 "
            "whatever the model answers"
        )
    table = metrics_of(set_name)
    for key in filter(_is_unicode, table):
        if (plain := numbers.get(key.removesuffix(UNICODE))) is not None and key in numbers:
            notes.append(
                f"note: {set_name} answers are in scripts that rouge-score does not support (it would give "
                f"{shown(plain)}): {table[key].title} compares Unicode words"
            )
    if cut := numbers.get("n_cut"):
        notes.append(
            f"note: {set_name} rows longer than --max-length: {cut} of {numbers['n']} were cut; what was cut off is "
            "not measured"
        )
    if documents := numbers.get("n_documents"):
        notes.append(
            f"note: the {numbers['n']} {set_name} rows are chunks of {number_of(documents, 'document')}; means and "
            "their intervals are over chunks, the worst are named by document"
        )
    elif pieces := numbers.get("n_pieces"):
        notes.append(
            f"note: {set_name} texts longer than --max-length: {numbers.get('n_in_pieces', 'some')} were split into "
            f"{pieces} pieces, each of which counts as a row"
        )
    if unknown := numbers.get("n_end_unknown"):
        notes.append(
            f"note: {unknown} of {numbers['n']} {set_name} records do not say which token ends their answer (no "
            "n_end): it counts in memorisation and min-k; evaluate again to have it left out"
        )
    return notes


def _is_unicode(key: str) -> bool:
    return key.endswith(UNICODE)
