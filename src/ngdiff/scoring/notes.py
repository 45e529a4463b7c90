"""What a table says of the rows behind its numbers."""

from collections.abc import Mapping
from typing import Any

from ngdiff.metrics import UNICODE, metrics_of
from ngdiff.scoring.quantities import shown


def row_notes(set_name: str, numbers: Mapping[str, Any]) -> list[str]:
    """Lines below a table about the rows of one set, from what `ngdiff.metrics.summarize` counted.

    >>> row_notes("forget", {"n": 20, "n_end_unknown": 20})[0][:70]
    'note: 20 of 20 forget records do not say which token ends their answer'
    """
    notes = []
    if numbers.get("n_no_words"):
        known = "word" if any(map(_is_unicode, numbers)) else "word that ROUGE knows (a-z, 0-9)"
        notes.append(
            f"note: {numbers['n_no_words']} of {numbers['n']} {set_name} answers hold no {known}; they count as 0 "
            "whatever the model says"
        )
    table = metrics_of(set_name)
    for key in filter(_is_unicode, table):
        if (plain := numbers.get(key.removesuffix(UNICODE))) is not None and key in numbers:
            notes.append(
                f"note: {set_name} answers are in scripts that rouge-score does not read (it would give "
                f"{shown(plain)}): {table[key].title} compares words of Unicode"
            )
    if cut := numbers.get("n_cut"):
        notes.append(
            f"note: {set_name} rows that were cut, being longer than a row may be (--max-length): {cut} of "
            f"{numbers['n']}; what was cut off is not measured"
        )
    if pieces := numbers.get("n_pieces"):
        notes.append(
            f"note: {set_name} texts in pieces, being longer than a row may be (--max-length): "
            f"{numbers.get('n_in_pieces', 'some')}, measured in {pieces} pieces, each of which counts as a row"
        )
    if unknown := numbers.get("n_end_unknown"):
        notes.append(
            f"note: {unknown} of {numbers['n']} {set_name} records do not say which token ends their answer (no "
            "n_end): it counts in memorisation and min-k; evaluate again to have it left out"
        )
    return notes


def _is_unicode(key: str) -> bool:
    return key.endswith(UNICODE)
