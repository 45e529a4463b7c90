"""Which labels of a record a metric looks at.

The values of a record that stand per token (`token_nll`, `token_z`, `token_hit`) have one entry for each label: first
those of a raw text that the model is given as a prompt, `n_given` of them, then what is compared with its answer, then
`n_end` that only end it: the end token, and what a template writes before it.

Losses and probabilities are over all of them, as training has it and TOFU's authors. What is said of a text as such
(membership) is over all but the end; what is recited is over neither the prompt nor the end. A record without `n_end`
was written before there was such a field: its end token, if it has one, is taken for one of the answer.
"""

from collections.abc import Mapping, Sequence
from typing import Any


def recited(record: Mapping[str, Any], field: str, *, with_end: bool = False) -> Sequence[Any]:
    """The values of the answer: without those of the prompt, and of the end unless `with_end`.

    >>> recited({"token_hit": [0, 1, 1, 0], "n_given": 1, "n_end": 1}, "token_hit")
    [1, 1]
    """
    return without_end(record, field, with_end=with_end)[int(record.get("n_given") or 0) :]


def without_end(record: Mapping[str, Any], field: str, *, with_end: bool = False) -> Sequence[Any]:
    """All values but those of the end, and those too with `with_end`.

    >>> without_end({"token_nll": [0.5, 0.25, 8.0], "n_end": 1}, "token_nll")
    [0.5, 0.25]
    """
    values: Sequence[Any] = record[field]
    return values if with_end else values[: len(values) - int(record.get("n_end") or 0)]
