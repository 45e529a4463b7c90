"""Sets that `ngdiff unlearn` makes without having been asked to: where nobody chose how to forget."""

from collections.abc import Mapping, Sequence
from typing import Any

from ngdiff.cli.own_answers import AUTO
from ngdiff.cli.values import NONE
from ngdiff.data import Row, Template
from ngdiff.errors import InputError

# Options that choose how far to forget; a run with one of them is what its user composed, and nothing is added to it.
_CHOICES = ("method", "preset", "weighting", "forget_objective", "forget_ceiling")


def holdout_is_implied(values: Mapping[str, Any]) -> bool:
    """Whether a run makes up holdout rows, to know how far to forget: nothing else says so.

    Args:
        values: The options that were given.

    >>> holdout_is_implied({"base_model": "base"}), holdout_is_implied({"method": "npo"})
    (True, False)
    """
    return _is_open(values) and values.get("holdout") in (None, AUTO)


def check_how_far(values: Mapping[str, Any]) -> None:
    """Refuse `--holdout none` where nothing else says how far to forget.

    Args:
        values: The options that were given.

    Raises:
        InputError: nothing does.
    """
    if _is_open(values) and values.get("holdout") == NONE and values.get("base_model") is None:
        raise InputError(
            f"--holdout {NONE}: nothing says how far to forget; leave it out for rows that are made up, give "
            "--base-model DIR, or --method ngdiff for ascent, which forgets too much"
        )


def protect_is_implied(values: Mapping[str, Any], forget: Sequence[Row], template: Template) -> bool:
    """Whether a run protects the model's own answers: it is a chat model, which has more to say than its two sets.

    Args:
        values: The options that were given.
        forget: The rows to forget.
        template: How they become text.
    """
    is_given = values.get("protect") is not None or values.get("retain") == AUTO
    return _is_open(values) and not is_given and any(map(template.uses_chat, forget))


def _is_open(values: Mapping[str, Any]) -> bool:
    return all(values.get(name) in (None, AUTO) for name in _CHOICES)
