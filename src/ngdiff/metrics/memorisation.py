"""Memorisation token by token: is each token of the answer the model's top prediction, given the tokens before it?

`token_hit` of a record is 1 if it is and 0 if not, one value for each label (`ngdiff.metrics.labels`). The end token is
left out, as in open-unlearning: a model that was never taught where a text ends can still recite all of it. `with_end`
includes it.
"""

from collections.abc import Sequence

from ngdiff.errors import InputError
from ngdiff.metrics.labels import recited
from ngdiff.metrics.records import Record, Records, record_name


def has_hits(record: Record) -> bool:
    """Whether the record has `token_hit`, with at least one token before the end."""
    return record.get("token_hit") is not None and (not record["token_hit"] or bool(recited(record, "token_hit")))


def has_hits_with_end(record: Record) -> bool:
    """Whether the record has `token_hit`."""
    return record.get("token_hit") is not None


def exact_memorisations(records: Records, *, with_end: bool = False) -> list[float]:
    """Fraction of hits per record, in [0, 1]; the mean is exact memorisation (Tirumala et al. 2022, Section 3).

    Args:
        with_end: Include the end token.

    Raises:
        InputError: a record without tokens.

    >>> exact_memorisations([{"token_hit": [1, 0, 1, 1]}, {"token_hit": [1, 1, 1, 0], "n_end": 1}])
    [0.75, 1.0]
    """
    return [sum(hits) / len(hits) for hits in (_hits(record, with_end) for record in records)]


def extraction_strengths(records: Records, *, with_end: bool = False) -> list[float]:
    """`1 - k / n` per record, in [0, 1], for an answer of n tokens: k is the length of the shortest prefix after which
    greedy decoding reproduces the rest.

    `ES = 1 - min{k : f(x, y_<k) = y_>=k} / |y|` (Wang et al. 2025, "Towards Effective Evaluations and Comparisons
    for LLM Unlearning Methods", after Carlini et al. 2021). Greedy decoding from position k reproduces the rest
    exactly if every later token is a hit under teacher forcing, so the strength is the length of the final run of
    hits divided by n. It is 1 if the prompt alone suffices and 0 if the last token is wrong (k = n). A well-known
    implementation limits k to n - 1 and gives 1/n in that case.

    Args:
        with_end: Include the end token.

    Raises:
        InputError: a record without tokens.

    >>> extraction_strengths([{"token_hit": [1, 0, 1, 1]}, {"token_hit": [1, 1, 1, 0]}])
    [0.5, 0.0]
    """
    strengths = []
    for record in records:
        hits = _hits(record, with_end)
        given = max((position + 1 for position, hit in enumerate(hits) if not hit), default=0)
        strengths.append((len(hits) - given) / len(hits))
    return strengths


def _hits(record: Record, with_end: bool) -> Sequence[int]:
    hits = recited(record, "token_hit", with_end=with_end)
    if not hits:
        raise InputError(f"{record_name(record)}: token_hit is empty; memorisation needs at least one token")
    return hits
