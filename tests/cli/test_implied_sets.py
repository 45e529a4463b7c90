"""Which sets a run makes by itself."""

import pytest

from ngdiff.cli.implied_sets import check_how_far, holdout_is_implied, protect_is_implied
from ngdiff.data import Row, Template
from ngdiff.errors import InputError

QUESTION, CHAT = [Row("Where was Orla born?", "In Tarnholm.")], Template("chat", None)


@pytest.mark.parametrize("name", ["method", "preset", "weighting", "forget_objective", "forget_ceiling"])
def test_a_run_whose_method_is_chosen_makes_none(name: str) -> None:
    assert not holdout_is_implied({name: "npo"})
    assert not protect_is_implied({name: "npo"}, QUESTION, CHAT)


@pytest.mark.parametrize("values", [{}, {"method": "auto"}, {"base_model": "base"}, {"seed": 3, "protect": None}])
def test_a_run_whose_method_is_open_makes_them(values: dict[str, object]) -> None:
    assert holdout_is_implied(values)
    assert protect_is_implied(values, QUESTION, CHAT)


def test_sets_that_are_given() -> None:
    assert not holdout_is_implied({"holdout": "rows.jsonl"})
    for values in ({"protect": "rows.jsonl"}, {"protect": "none"}, {"protect": "auto"}, {"retain": "auto"}):
        assert not protect_is_implied(values, QUESTION, CHAT)
    assert protect_is_implied({"holdout": "rows.jsonl", "retain": "rows.jsonl"}, QUESTION, CHAT)


def test_none_makes_none_up() -> None:
    assert not holdout_is_implied({"holdout": "none"})
    with pytest.raises(InputError, match="--holdout none: nothing says how far to forget; leave it out"):
        check_how_far({"holdout": "none"})
    for values in ({}, {"holdout": "none", "base_model": "base"}, {"holdout": "none", "method": "npo"}):
        check_how_far(values)


def test_only_where_a_row_is_shown_by_the_chat_template() -> None:
    assert not protect_is_implied({}, QUESTION, Template("plain", None))
    assert not protect_is_implied({}, [Row("", "A text.", kind="text")], CHAT)
    assert protect_is_implied({}, [Row("", "A text.", kind="text"), *QUESTION], CHAT)
