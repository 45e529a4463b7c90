"""Bounds set before a run, and earlier requests, on the page of a request."""

from pathlib import Path
from typing import Any

import pytest

from ngdiff.cli import main

from .made import data, make_evaluation, make_run

LOSS = {"require": "forget.loss>=2", "value": 3.25, "before": 0.1, "bound": 2.0, "met": True}
VERBMEM = {"require": "verbmem<=0.1*before", "value": None, "before": None, "bound": None, "met": None}
BOTH = {"requirements": [LOSS["require"], VERBMEM["require"]], "verdicts": [LOSS, VERBMEM]}
TRACE = {
    "place": "runs/one",
    "before": 0.1,
    "after": 3.0,
    "now": 0.5,
    "threshold": 1.55,
    "state": "came back",
    "why": "",
}


def page_of(folder: Path, *words: object) -> str:
    target = folder / "page.md"
    assert main(["report", str(folder / "run"), *map(str, words), "--output", str(target), "--overwrite"]) == 0
    return target.read_text(encoding="utf-8").replace("\\", "")


def made(folder: Path, extra: dict[str, Any], **evaluation: Any) -> Path:
    make_evaluation(folder / "scores", make_run(folder / "run", extra=extra), **evaluation)
    make_evaluation(folder / "before", recall=1.0, loss=0.1)
    return folder


def test_bounds_that_the_run_left_open_are_judged_by_the_numbers_of_the_page(tmp_path: Path) -> None:
    page = page_of(made(tmp_path, BOTH), "--before", tmp_path / "before")
    assert "| forget.loss>=2 | 0.1000 | 3.2500 | 2.0000 | yes |" in page
    assert "| verbmem<=0.1*before | 1.0000 | 0.4375 | 0.1000 | no |" in page
    assert "- **Of 2 bounds set before the result was known, 1 is not met: verbmem<=0.1*before.**" in page


def test_bounds_that_are_all_met(tmp_path: Path) -> None:
    kept = {"requirements": ["utility>=0*before"]}
    page = page_of(made(tmp_path, kept), "--before", tmp_path / "before")
    assert "- The bound that was set before the result was known is met." in page
    more = {"requirements": [*kept["requirements"], LOSS["require"]], "verdicts": [LOSS]}
    make_run(tmp_path / "b" / "run", extra=more)
    make_evaluation(tmp_path / "b" / "scores", tmp_path / "b" / "run")
    page = page_of(tmp_path / "b", "--before", tmp_path / "before")
    assert "- All 2 bounds that were set before the result was known are met." in page


def test_a_bound_without_a_number_is_not_met(tmp_path: Path) -> None:
    page = page_of(made(tmp_path, BOTH))
    assert "1 is not met: verbmem<=0.1*before (not measured).**" in page
    assert page.count("| no: not measured |") == 1


def test_a_bound_of_other_rows_stays_open(tmp_path: Path) -> None:
    page = page_of(made(tmp_path, BOTH, data=data(forget="d" * 64)), "--before", tmp_path / "before")
    assert "is not met" not in page
    assert "bounds that were set" not in page
    assert "| no: not measured |" not in page
    assert "| verbmem<=0.1*before | - | 0.4375 | - | open: it was required of other rows |" in page


@pytest.mark.parametrize("suffix", ["html", "md"])
def test_earlier_requests_are_on_the_page(tmp_path: Path, suffix: str) -> None:
    target = tmp_path / f"page.{suffix}"
    made(tmp_path, {"earlier_requests": [TRACE]})
    assert main(["report", str(tmp_path / "run"), "--output", str(target)]) == 0
    page = target.read_text(encoding="utf-8").replace("\\", "")
    assert "Rows that an earlier request made the model forget came back: runs/one." in page
    assert "0.5000" in page


def test_a_page_without_bounds_says_nothing_of_them(tmp_path: Path) -> None:
    page = page_of(made(tmp_path, {}))
    assert "result was known" not in page
    assert "earlier request" not in page
