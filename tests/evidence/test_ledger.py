"""Earlier requests: when one has come back, what the ledger shows, what a run cannot go on from."""

import json
import re
import shutil
from pathlib import Path
from typing import Any

import pytest

from ngdiff.cli import main
from ngdiff.errors import InputError, VerdictError
from ngdiff.evidence.chain import Request, read_chain, retested
from ngdiff.evidence.ledger import refuse_came_back, retest_table
from ngdiff.evidence.verify import verify
from ngdiff.exit_codes import REQUEST_CAME_BACK

from .made import write_run

ENDED = {"finished": True, "losses_before": {"forget": 1.0}, "losses_after": {"forget": 5.0}}


def request(**changes: Any) -> Request:
    known = {"place": "first", "sha256": "", "utc": "", "forget": {}, "template": "plain", "max_length": None}
    return Request(**{**known, "before": 1.0, "after": 5.0, **changes})


@pytest.mark.parametrize(
    ("now", "changes", "state"),
    [
        (5.0, {}, "forgotten"),
        (9.0, {}, "forgotten"),
        (3.0, {}, "forgotten"),
        (2.999, {}, "came back"),
        (float("nan"), {}, "came back"),
        (None, {}, "not taken again"),
        (0.5, {"after": 1.0}, "nothing was forgotten"),
        (4.0, {"require": ("forget.loss>=4.5",)}, "came back"),
        (4.0, {"require": ("forget.loss>=3*before", "retain.loss<=1")}, "forgotten"),
        (2.9, {"require": ("forget.loss>=before",)}, "came back"),
        (5.0, {"require": ("forget.loss>=9",)}, "forgotten"),  # what its own run did not reach cannot be lost
    ],
)
def test_what_the_loss_of_an_earlier_request_says(now: float | None, changes: dict[str, Any], state: str) -> None:
    found = retested(request(**changes), now)
    assert found.state == state
    assert state in retest_table([found])
    if state != "came back":
        refuse_came_back([found], "out")
        return
    with pytest.raises(VerdictError, match=r"1 of 1 earlier requests came back in out, first that of first") as caught:
        refuse_came_back([found], "out")
    assert caught.value.status == REQUEST_CAME_BACK


def test_a_chain_of_three(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = write_run(tmp_path, "one", extra=ENDED)
    second = write_run(tmp_path, "two", forget="second.jsonl", after=read_chain(first.output), extra=ENDED)
    chain = read_chain(second.output)
    assert [Path(one["place"]).name for one in chain["requests"]] == ["one", "two"]
    assert [one["forget"]["rows"] for one in chain["requests"]] == [3, 3]
    back = retested(request(place=str(first.output)), 1.5).as_json()
    third = write_run(tmp_path, "three", after=chain, extra={**ENDED, "earlier_requests": [back]})
    assert main(["ledger", str(third.output), "--json", str(tmp_path / "ledger.json")]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[1:]] == ["1", "2", "3"]
    assert lines[1].endswith("1.0000  5.0000  1.5000  came back: more than half-way")
    assert lines[3].endswith("the last one")
    entries = json.loads((tmp_path / "ledger.json").read_text())
    assert [(entry["retest"] or {}).get("state") for entry in entries] == ["came back", "not taken again", None]
    assert lines[2].endswith("5.0000  -       not taken again: the last run did not")
    assert main(["verify", str(third.output)]) == 0


def test_places_are_full_paths(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    first = write_run(tmp_path, "one", extra=ENDED).output
    (tmp_path / "sub").mkdir()
    monkeypatch.chdir(tmp_path / "sub")
    chain = read_chain(Path("../one"))
    assert chain["place"] == chain["requests"][0]["place"] == str(first)
    assert main(["ledger", "../one"]) == 0
    assert f"  {first}  " in capsys.readouterr().out


def test_requests_whose_folders_had_the_same_name_keep_their_own_outcomes(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """A queue that always renames the last output to `previous` before it goes on from there."""
    previous = tmp_path / "previous"
    write_run(tmp_path, "previous", extra=ENDED)
    write_run(tmp_path, "current", forget="second.jsonl", after=read_chain(previous), extra=ENDED)
    shutil.rmtree(previous)
    (tmp_path / "current").rename(previous)
    chain = read_chain(previous)
    again = [retested(request(place=str(previous)), loss).as_json() for loss in (1.5, 4.5)]
    third = write_run(tmp_path, "current", after=chain, extra={**ENDED, "earlier_requests": again})
    assert main(["ledger", str(third.output)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].endswith("1.5000  came back: more than half-way")
    assert lines[2].endswith("4.5000  forgotten")
    checks = verify(third.output)
    assert checks[-1].what == f"request before (2): seal of {previous / 'manifest.json'}"
    assert "(it was changed, or is of another run)" in checks[-1].faults[0]


def test_a_ruined_run_has_not_taken_earlier_requests_again(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = write_run(tmp_path, "one", extra=ENDED)
    extra = {**ENDED, "ruined": "its loss is nan"}
    second = write_run(tmp_path, "two", forget="second.jsonl", after=read_chain(first.output), extra=extra)
    assert main(["ledger", str(second.output)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[1].endswith("5.0000  -       not taken again: the model of the last run is ruined")
    assert lines[2].endswith("5.0000  5.0000  the last one; ruined")


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"extra": {"finished": False}}, "that run has not ended"),
        ({"extra": {"finished": True}}, "is not of an unlearning run"),
        ({"extra": {**ENDED, "ruined": "its loss is nan"}}, "the model of that run is ruined: its loss is nan"),
    ],
)
def test_what_a_run_cannot_go_on_from(tmp_path: Path, more: dict[str, Any], message: str) -> None:
    made = write_run(tmp_path, **more)
    with pytest.raises(InputError, match=re.escape(message)):
        read_chain(made.output)


def test_a_changed_output_is_nothing_to_go_on_from(tmp_path: Path) -> None:
    made = write_run(tmp_path, extra=ENDED)
    (made.output / "tokenizer.json").write_text("{}")
    with pytest.raises(InputError, match=r"tokenizer\.json is changed"):
        read_chain(made.output)
    (made.output / "manifest.json").write_text("{}")
    with pytest.raises(InputError, match="its seal does not match"):
        read_chain(made.output)
    with pytest.raises(InputError, match=r"contains no manifest\.json"):
        read_chain(tmp_path)
