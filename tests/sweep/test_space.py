"""The space of a search, as a file has it."""

from typing import Any

import pytest

from ngdiff.errors import InputError
from ngdiff.sweep.space import Choice, Interval, read_space


def test_lists_and_ranges() -> None:
    found = read_space(
        {
            "method": ["ngdiff", "npo(beta=0.1)+ngdiff", None],
            "lora_rank": [8, 16],
            "num_train_epochs": {"from": 5, "to": 30},
            "learning_rate": {"from": "1e-6", "to": 1e-2, "log": True},
            "max_steps": {"from": 1, "to": 1000, "log": True},
            "weight_decay": {"from": 0, "to": 0.5},
        },
        "search",
    )
    assert found == {
        "method": Choice(("ngdiff", "npo(beta=0.1)+ngdiff", None)),
        "lora_rank": Choice((8, 16)),
        "num_train_epochs": Interval(5, 30, whole=True),
        "learning_rate": Interval(1e-6, 1e-2, log=True),
        "max_steps": Interval(1, 1000, log=True, whole=True),
        "weight_decay": Interval(0, 0.5, whole=False),
    }
    assert found["method"].samples() == ["ngdiff", "npo(beta=0.1)+ngdiff", None]
    assert found["learning_rate"].samples() == [1e-6, 1e-2]


@pytest.mark.parametrize(
    ("found", "message"),
    [
        ({}, "s has no option; give some"),
        ({"a": 3}, r"s: a is 3, neither a list of values nor a range"),
        ({"a": "1,2"}, r"s: a is '1,2', neither a list"),
        ({"a": [1]}, "s: a has 1 value; with one it belongs to the options"),
        ({"a": []}, "s: a has no value"),
        ({"a": [1, [2]]}, r"s: a has \[2\], which is no plain value"),
        ({"a": [1, 2, "1"]}, "s: a has 1 twice"),
        ({"a": {"from": 1}}, "s: a has no to; a range has from and to"),
        ({"a": {"low": 1, "to": 2}}, "s: a: low is not known; a range has from, to, log"),
        ({"a": {"from": 2, "to": 1}}, "s: a: from 2 to 1 holds no numbers"),
        ({"a": {"from": 1, "to": 1}}, "s: a: from 1 to 1 holds no numbers"),
        ({"a": {"from": 0, "to": 1, "log": True}}, "s: a: from 0 has no logarithm"),
        ({"a": {"from": 0, "to": 1, "log": "yes"}}, "s: a: log is 'yes', neither true nor false"),
        ({"a": {"from": "x", "to": 1}}, "s: a: from is 'x', not a number"),
        ({"a": {"from": True, "to": 2}}, "s: a: from is True, not a number"),
        ({"a": {"from": 0, "to": float("inf")}}, "s: a: to is inf, not a number"),
    ],
)
def test_what_is_no_space(found: dict[str, Any], message: str) -> None:
    with pytest.raises(InputError, match=message):
        read_space(found, "s")
