"""Points of a grid and their names; grids that are refused."""

import re
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from ngdiff.errors import InputError
from ngdiff.sweep import axes_that_matter, check_axes, name_of, points_of, read_axes

VALUES = st.lists(
    st.one_of(st.text(min_size=1, max_size=60), st.integers(), st.floats(allow_nan=False), st.booleans(), st.none()),
    min_size=1,
    max_size=3,
    unique_by=lambda value: repr(value) if isinstance(value, bool | None) else str(value),
)


def test_axes_of_a_command_line() -> None:
    assert read_axes(["method=ngdiff, npo(beta=0.1,gamma=0)+gdr", "--learning-rate=1e-5,auto"]) == {
        "method": ["ngdiff", "npo(beta=0.1,gamma=0)+gdr"],
        "learning_rate": ["1e-5", "auto"],
    }
    for word in ("method", "=a", "a b"):
        with pytest.raises(InputError, match=f"--grid {word}: give an option and its values, OPTION=VALUE,VALUE"):
            read_axes([word])
    with pytest.raises(InputError, match="--grid: max-steps is given twice"):
        read_axes(["max_steps=1", "max-steps=2"])


@pytest.mark.parametrize(
    ("axes", "message"),
    [
        ({}, "s.yaml: grid has no option; give some"),
        ({"seed": []}, "s.yaml: grid: seed has no values"),
        (read_axes(["seed="]), "s.yaml: grid: seed has no values"),
        (read_axes(["seed=1,,2"]), "s.yaml: grid: seed has an empty value among 1, , 2"),
        ({"method": "ngdiff"}, "s.yaml: grid: method has 'ngdiff', not a list of values"),
        ({"seed": 3}, "s.yaml: grid: seed has 3, not a list of values"),
        ({"seed": {"a": 1}}, "s.yaml: grid: seed has {'a': 1}, not a list of values"),
        ({"seed": [0, 1, "0"]}, "s.yaml: grid: seed has 0 twice"),
    ],
)
def test_grids_that_are_refused(axes: Any, message: str) -> None:
    with pytest.raises(InputError, match=f"^{re.escape(message)}"):
        check_axes(axes, "s.yaml: grid")


def test_all_combinations_in_order() -> None:
    points = points_of({"method": ["a", "b"], "seed": [0, 1, 2]})
    assert [(point["method"], point["seed"]) for point in points] == [
        ("a", 0), ("a", 1), ("a", 2), ("b", 0), ("b", 1), ("b", 2),
    ]  # fmt: skip


def test_names_that_a_person_can_read() -> None:
    axes = {"method": ["npo+ngdiff"], "learning_rate": ["1e-5"], "bf16": [True], "holdout": [None, "/data/h.jsonl"]}
    assert [name_of(point, axes) for point in points_of(axes)] == [
        "method=npo+ngdiff,learning-rate=1e-5,bf16=true,holdout=none",
        "method=npo+ngdiff,learning-rate=1e-5,bf16=true,holdout=h.jsonl",
    ]


@settings(deadline=None)  # no timed assertion on a busy machine
@given(st.dictionaries(st.sampled_from(["a", "b_c", "seed"]), VALUES, min_size=1))
def test_names_are_folders_and_differ(axes: dict[str, list[Any]]) -> None:
    names = [name_of(point, axes) for point in points_of(axes)]
    assert len(set(names)) == len(names)
    for name in names:
        assert "/" not in name
        assert not re.search(r"[\s\0'\"$`*?;|&<>()]", name)
        assert 0 < len(name.encode()) <= 255 or len(name) <= 170


def test_what_matters_is_what_changes_something_alone() -> None:
    axes = {"a": [0, 1], "b": [0, 1], "c": [0]}
    points = points_of(axes)
    assert axes_that_matter(axes, [0 for _ in points]) == []
    assert axes_that_matter(axes, [point["b"] for point in points]) == ["b"]
    assert axes_that_matter(axes, [point["a"] * point["b"] for point in points]) == ["a", "b"]
