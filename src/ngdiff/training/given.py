"""Training arguments as they were given, before `TrainingArguments.__post_init__` resolves them.

That turns `report_to="all"` into the trackers that are installed, fills in the metric and its direction, and so on. A
config file with resolved values would mean something else when combined with other options.
"""

import json
from copy import deepcopy
from dataclasses import fields
from enum import Enum
from typing import Any

from ngdiff.errors import InputError
from ngdiff.option import dashed
from ngdiff.secrets import is_secret
from ngdiff.training.trainer_fields import TrainerFields


def as_given(args: TrainerFields) -> dict[str, Any]:
    """Name -> value of all arguments but secrets (`hub_token`), as text, numbers, lists and mappings.

    To be called first in `__post_init__`.

    Raises:
        InputError: an option that takes JSON holds something else; it and the value are named.
    """
    return {
        field.name: _plain(field.name, getattr(args, field.name), takes_json=field.name in args._VALID_DICT_FIELDS)
        for field in fields(args)
        if field.init and not is_secret(field.name)
    }


def _plain(name: str, value: Any, *, takes_json: bool) -> Any:
    if isinstance(value, Enum):
        return value.value
    if takes_json and isinstance(value, str) and (value.startswith("{") or name.endswith("_kwargs")):
        if not value.startswith("{"):  # others may be the name of a file
            raise InputError(f"{dashed(name)} {value} is not JSON of the form {{...}}")
        try:
            return json.loads(value)
        except json.JSONDecodeError as error:
            raise InputError(f"{dashed(name)} {value} is not JSON: {error}") from error
    return [_plain(name, item, takes_json=False) for item in value] if isinstance(value, list) else deepcopy(value)
