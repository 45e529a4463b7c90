"""Two models are compared on the same rows, or not at all."""

import os.path
from collections import Counter
from collections.abc import Mapping, Sequence
from typing import Any

from ngdiff.errors import InputError
from ngdiff.metrics.probability import record_name

Records = Sequence[Mapping[str, Any]]


def check_same_rows(own: Records, retrained: Records, what: str) -> None:
    """Refuse records of two models that are not of the same rows, in whatever order.

    A row is known by its reference and its prompt. Models may put the same question by other templates: what all
    prompts of a side begin and end with counts as the template's. Records without references are known by their
    origin, those without that by their index.

    Args:
        what: the number that would be wrong, for the message.

    Raises:
        InputError: says how many rows differ, and where the first is from; no text of the data.
    """
    if len(own) != len(retrained):
        raise InputError(
            f"{what} compares two models on the same rows, and there are records of {len(own)} rows of the model and "
            f"of {len(retrained)} of the retrained one; evaluate both on the same file"
        )
    first, second = (_keys(side, _known_by([*own, *retrained])) for side in (own, retrained))
    missing = Counter(first) - Counter(second)
    if missing:
        place = next(i for i, key in enumerate(first) if key in missing)
        raise InputError(
            f"{what} compares two models on the same rows, and {missing.total()} of {len(own)} rows of the model are "
            f"not among those of the retrained one, the first of them {record_name(own[place])}; evaluate both on the "
            "same file"
        )


def _known_by(records: Records) -> tuple[str, ...]:
    """The fields that all records have."""
    for fields in (("reference", "prompt"), ("reference",), ("origin",), ("index",)):
        if all(record.get(field) is not None for record in records for field in fields):
            return fields
    return ()


def _keys(records: Records, fields: Sequence[str]) -> list[tuple[Any, ...]]:
    columns = [[record[field] for record in records] for field in fields]
    if fields[-1:] == ("prompt",):
        columns[-1] = _bare(columns[-1])
    return list(zip(*columns, strict=True)) if columns else [()] * len(records)


def _bare(prompts: Sequence[str]) -> list[str]:
    """Prompts without what all of them begin and end with.

    >>> _bare(["Question: Who? Answer:", "Question: Where? Answer:"]), _bare(["Who?", "Where?"])
    (['o', 'ere'], ['o', 'ere'])
    """
    head = len(os.path.commonprefix(prompts))  # noqa: RUF071 - characters are meant
    tail = len(os.path.commonprefix([prompt[::-1] for prompt in prompts]))  # noqa: RUF071
    tail = min(tail, min(map(len, prompts)) - head)
    return [prompt[head : len(prompt) - tail] for prompt in prompts]
