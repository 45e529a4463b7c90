"""Checks that two models are compared on the same rows."""

import os.path
from collections import Counter, deque
from collections.abc import Mapping, Sequence
from typing import Any

from ngdiff.errors import InputError
from ngdiff.metrics.records import Records, record_name
from ngdiff.plurals import number_of, some_of, verb


def check_same_rows(own: Records, other: Records, what: str, model: str = "the retrained one") -> None:
    """Refuse records of two models that are not of the same rows; their order may differ.

    A row is identified by its reference and its prompt. The models may use different templates: a prefix or suffix
    common to all prompts of one side is taken for the template and ignored. Records without references are identified
    by their origin, or else by their index.

    Args:
        what: The metric that compares them, for the message.
        model: The model of the other records, for the message.

    Raises:
        InputError: the rows differ; the message says how many and the origin of the first, without texts of the data.
    """
    if len(own) != len(other):
        raise InputError(
            f"{what} compares two models on the same rows, but there are records of "
            f"{number_of(len(own), 'row')} of the model and of {len(other)} of {model}; evaluate both on the same file"
        )
    first, second = _both_keys(own, other)
    missing = Counter(first) - Counter(second)
    if missing:
        place = next(i for i, key in enumerate(first) if key in missing)
        raise InputError(
            f"{what} compares two models on the same rows, but "
            f"{some_of(missing.total(), len(own), 'row')} of the model {verb(missing.total())} not among those of "
            f"{model} (first: {record_name(own[place])}); evaluate both on the same file"
        )


def sets_of_other_rows(own: Mapping[str, Records], other: Mapping[str, Records]) -> list[str]:
    """Names of the sets that two models have records of, and not of the same rows.

    >>> a, b = {"reference": "a"}, {"reference": "b"}
    >>> sets_of_other_rows({"forget": [a], "retain": [a, b]}, {"retain": [b, b], "holdout": [a]})
    ['retain']
    """
    found = []
    for name in own:
        if own[name] and other.get(name):
            try:
                check_same_rows(own[name], other[name], name)
            except InputError:
                found.append(name)
    return found


def same_rows(own: Records, other: Records, what: str, model: str = "the retrained one") -> list[Mapping[str, Any]]:
    """The other model's records, checked, in the order of `own`; identical rows keep their order.

    Args:
        what, model: As in `check_same_rows`.

    Raises:
        InputError: as `check_same_rows`.

    >>> a, b = {"reference": "a"}, {"reference": "b"}
    >>> same_rows([a, b], [b, a], "D") == [a, b]
    True
    """
    check_same_rows(own, other, what, model)
    first, second = _both_keys(own, other)
    places: dict[tuple[Any, ...], deque[int]] = {}
    for place, key in enumerate(second):
        places.setdefault(key, deque()).append(place)
    return [other[places[key].popleft()] for key in first]


def _both_keys(own: Records, other: Records) -> tuple[list[tuple[Any, ...]], list[tuple[Any, ...]]]:
    fields = _known_by([*own, *other])
    return _keys(own, fields), _keys(other, fields)


def _known_by(records: Records) -> tuple[str, ...]:
    """The fields that identify a row: the best that all records have."""
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
    """Prompts without their common prefix and suffix.

    >>> _bare(["Question: Who? Answer:", "Question: Where? Answer:"]), _bare(["Who?", "Where?"])
    (['o', 'ere'], ['o', 'ere'])
    """
    head = len(os.path.commonprefix(prompts))  # noqa: RUF071 - characters are meant
    tail = len(os.path.commonprefix([prompt[::-1] for prompt in prompts]))  # noqa: RUF071
    tail = min(tail, min(map(len, prompts)) - head)
    return [prompt[head : len(prompt) - tail] for prompt in prompts]
