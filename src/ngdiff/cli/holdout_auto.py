"""`--holdout auto`: rows that no model has seen, made up by ngdiff, to know how far a row is to be forgotten."""

import logging
from collections.abc import Sequence
from typing import Any

from ngdiff.cli.own_answers import AUTO
from ngdiff.data import Row, Template
from ngdiff.errors import InputError

logger = logging.getLogger(__name__)

SOURCE = "auto: questions about people who do not exist"


def refuse_elsewhere(command: str) -> InputError:
    """Why a command other than `unlearn` has no such set."""
    return InputError(
        f"--holdout {AUTO} is for ngdiff unlearn, which sees from its rows how far to forget; they are of another kind "
        f"than yours, so that their numbers say nothing in {command}: give rows of your own that the model has never "
        f"seen (./{AUTO} for a file of that name)"
    )


def those_that_fit(rows: Sequence[Row], tokenizer: Any, template: Template, max_length: int | None) -> list[Row]:
    """The made-up rows that are no longer than a row may be.

    Raises:
        InputError: there are none.
    """
    from ngdiff.data.encode import encode_whole

    if max_length is None:
        return list(rows)
    lengths = [len(found.input_ids) for found in encode_whole(rows, tokenizer, template)]
    fitting = [row for row, length in zip(rows, lengths, strict=True) if length <= max_length]
    if not fitting:
        raise InputError(
            f"--holdout {AUTO}: its questions have {min(lengths)} tokens and more, --max-length is {max_length}; give "
            "rows of your own that the model has never seen, or --method ngdiff, which needs none"
        )
    return fitting


def check_ceiling(form: str | None, holdout: str | None) -> None:
    """Refuse a ceiling at the loss of made-up rows, which are not as hard as those to forget.

    Raises:
        InputError: names both options.
    """
    if (form, holdout) == ("holdout", AUTO):
        raise InputError(
            f"--forget-ceiling holdout --holdout {AUTO}: rows that are made up are not as hard as yours; leave "
            "--forget-ceiling out, or give rows of your own that the model has never seen"
        )


def told(rows: Sequence[Row]) -> str:
    """Says what such a set is good for, and what it is not; also for the manifest and the report of the run."""
    warning = (
        "There are no holdout rows: how likely a token to forget is for a model that never saw it is predicted from "
        f"the words of the retain rows and from {len(rows)} questions about people who do not exist (--holdout {AUTO})."
        " Rows of the same kind as those to forget, which the model has never seen, would show it directly. They are "
        "needed to measure whether forgotten rows can be told from others."
    )
    logger.info("%s", warning)
    return warning
