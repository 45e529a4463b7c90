"""The trials of a search, in a file that another process goes on with."""

import sys
from pathlib import Path

import pytest

from ngdiff.errors import InputError
from ngdiff.sweep.space import read_space
from ngdiff.sweep.study import Study, Trial

SPACE = read_space(
    {
        "method": ["ngdiff", "gdiff", None],
        "max_steps": {"from": 2, "to": 4},
        "learning_rate": {"from": 1e-5, "to": 1e-2, "log": True},
    },
    "search",
)


@pytest.fixture
def study(tmp_path: Path) -> Study:
    pytest.importorskip("optuna", reason="needs optuna: pip install '.[search]'")
    (tmp_path / "a ?%b").mkdir()
    return Study(tmp_path / "a ?%b" / "search.db", SPACE)


def test_points_lie_in_the_space_and_differ(study: Study) -> None:
    asked = [study.ask() for _ in range(8)]
    assert [one.number for one in asked] == list(range(8))
    assert {one.values["method"] for one in asked} <= {"ngdiff", "gdiff", None}
    assert {one.values["max_steps"] for one in asked} <= {2, 3, 4}
    rates = [one.values["learning_rate"] for one in asked]
    assert all(1e-5 <= rate <= 1e-2 for rate in rates)
    assert len(set(rates)) == 8


def test_the_best_are_those_that_no_other_beats(study: Study) -> None:
    found = [(0.5, 0.9), (0.2, 0.8), (0.6, 0.85), None, (0.1, 0.3)]
    for one in found:
        study.tell(study.ask().number, one)
    assert [one.number for one in study.best()] == [0, 1, 4]
    assert [one.state for one in study.trials()] == ["done", "done", "done", "failed", "done"]
    assert study.trials()[1].found == (0.2, 0.8)


def test_another_process_goes_on_with_what_is_open_and_draws_other_points(study: Study, tmp_path: Path) -> None:
    first, second = study.ask(), study.ask()
    study.tell(first.number, (0.5, 0.5))
    again = Study(tmp_path / "a ?%b" / "search.db", SPACE)
    assert again.trials() == [Trial(0, first.values, "done", (0.5, 0.5)), Trial(1, second.values)]
    again.tell(1, (0.4, 0.6))
    assert again.ask().values["learning_rate"] not in {one.values["learning_rate"] for one in (first, second)}


def test_a_file_that_is_no_study(tmp_path: Path) -> None:
    pytest.importorskip("optuna", reason="needs optuna: pip install '.[search]'")
    (tmp_path / "search.db").write_text("no database")
    with pytest.raises(InputError, match=r"search\.db is not the study of a search; choose another --output"):
        Study(tmp_path / "search.db", SPACE)


def test_without_optuna_it_is_said_what_to_install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "optuna", None)
    with pytest.raises(InputError, match=r"--search needs optuna: pip install 'ngdiff\[search\]'"):
        Study(tmp_path / "search.db", SPACE)
