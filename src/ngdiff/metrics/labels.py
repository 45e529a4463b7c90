"""Which labels of a record a metric uses.

The per-token values of a record (`token_nll`, `token_z`, `token_hit`) have one entry for each label: first `n_given`
tokens of a raw text that serve as the prompt, then the tokens that generation is compared with, then `n_end` tokens
that only end the text: the end token, and what a template writes before it.

Losses and probabilities use all labels, as training and TOFU's authors do. Membership scores use all but the end;
memorisation uses neither the prompt nor the end. A record without `n_end` was written by a version without that field:
its end token, if there is one, counts as part of the answer.
"""

from collections.abc import Sequence
from typing import Any

from ngdiff.metrics.records import Record


def recited(record: Record, field: str, *, with_end: bool = False) -> Sequence[Any]:
    """The values of the answer: without the prompt, and without the end unless `with_end`.

    >>> recited({"token_hit": [0, 1, 1, 0], "n_given": 1, "n_end": 1}, "token_hit")
    [1, 1]
    """
    return without_end(record, field, with_end=with_end)[int(record.get("n_given") or 0) :]


def without_end(record: Record, field: str, *, with_end: bool = False) -> Sequence[Any]:
    """All values except those of the end; with `with_end`, all.

    >>> without_end({"token_nll": [0.5, 0.25, 8.0], "n_end": 1}, "token_nll")
    [0.5, 0.25]
    """
    values: Sequence[Any] = record[field]
    return values if with_end else values[: len(values) - int(record.get("n_end") or 0)]
