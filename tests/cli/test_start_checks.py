"""What `ngdiff unlearn` says of near-duplicates, and of those that it did not look for."""

import logging

import pytest

from ngdiff.cli import start_checks
from ngdiff.cli.start_checks import StartCheckOptions, check_at_start
from ngdiff.data import Row

FORGET = [Row("Who keeps number seven?", "Orla Vennick does.", origin="f.jsonl, line 1")]
RETAIN = [Row("Which river passes through Selna?", f"The muddy Arvel does, says {word}.") for word in "abcdefgh"]


def test_of_large_sets_it_says_how_many_rows_it_compared(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(logging.INFO)
    sets = {"forget": FORGET, "retain": RETAIN}
    assert [one["what"] for one in check_at_start(StartCheckOptions(), sets)["checks"]] == [
        "near-duplicates in forget and retain"
    ]
    assert caplog.text == ""
    monkeypatch.setattr(start_checks, "_CHARACTERS", 200)
    first, _ = check_at_start(StartCheckOptions(), sets)["checks"]
    assert first["found"] == "1 of 1 forget row, 2 of 8 retain rows, evenly spaced"
    assert f"Near-duplicates are looked for in {first['found']}; ngdiff check compares all rows." in caplog.text


def test_a_row_in_two_sets_is_warned_of_by_its_place(caplog: pytest.LogCaptureFixture) -> None:
    loud = Row(FORGET[0].prompt.upper(), FORGET[0].answer, origin="r.jsonl, line 3")
    check_at_start(StartCheckOptions(), {"forget": FORGET, "retain": [*RETAIN, loud]})
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert "f.jsonl, line 1 and r.jsonl, line 3" in record.getMessage()
    assert "Vennick" not in record.getMessage()


def test_it_is_left_out_on_request_and_in_all_processes_but_the_first(monkeypatch: pytest.MonkeyPatch) -> None:
    sets = {"forget": FORGET, "retain": FORGET}
    assert check_at_start(StartCheckOptions(check=False), sets) == {}
    monkeypatch.setattr(start_checks, "is_first", lambda: False)
    assert check_at_start(StartCheckOptions(), sets) == {}
