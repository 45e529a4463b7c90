"""The rows of earlier requests: kept out of the rows to keep, and measured again, each request by its own."""

import shutil
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest

from ngdiff.cli.earlier import EarlierRequests
from ngdiff.data import Row, read_rows
from ngdiff.errors import InputError
from ngdiff.evidence.chain import read_chain

from ..evidence.made import Made, write_run

ENDED = {"finished": True, "losses_before": {"forget": 1.0}, "losses_after": {"forget": 5.0}}


@pytest.fixture
def rotated(tmp_path: Path) -> Made:
    """Two requests whose outputs lay in folders of the same name, as where the last output is always `previous`."""
    first = write_run(tmp_path, "previous", extra=ENDED)
    write_run(tmp_path, "current", forget="second.jsonl", after=read_chain(first.output), extra=ENDED)
    shutil.rmtree(first.output)
    (tmp_path / "current").rename(first.output)
    return first


def earlier(made: Made) -> EarlierRequests:
    found = EarlierRequests(str(made.output))
    found.read("plain", None)
    return found


@pytest.mark.parametrize("name", ["forget", "second"])
def test_no_row_of_any_earlier_request_is_kept(rotated: Made, name: str) -> None:
    retain = [*read_rows(str(rotated.inputs / "retain.jsonl")), read_rows(str(rotated.inputs / f"{name}.jsonl"))[1]]
    with pytest.raises(InputError, match=r"1 of 4 rows of --retain"):
        earlier(rotated).keep_apart(retain, drop=False, tokenizer=None, template=None)
    kept = earlier(rotated).keep_apart(retain, drop=True, tokenizer=None, template=None)
    assert [row.answer for row in kept] == ["2 0.", "2 1.", "2 2."]


def test_the_losses_taken_again_are_of_each_requests_own_rows(rotated: Made) -> None:
    class Trainer:
        task = SimpleNamespace(encode=lambda rows, name: rows)

        def mean_loss(self, rows: list[Row]) -> float:
            return {"0": 1.5, "1": 4.5}[str(rows[0].answer)[0]]

    trainer: Any = Trainer()
    found = earlier(rotated).take_again(trainer)
    assert [(one.now, one.state) for one in found] == [(1.5, "came back"), (4.5, "forgotten")]


def test_rows_that_are_gone_are_those_of_their_request_alone(rotated: Made, caplog: pytest.LogCaptureFixture) -> None:
    (rotated.inputs / "forget.jsonl").unlink()
    found = earlier(rotated)
    assert "forget.jsonl is no longer there" in caplog.text
    trainer: Any = SimpleNamespace(task=SimpleNamespace(encode=lambda rows, name: rows), mean_loss=lambda rows: 4.5)
    assert [one.state for one in found.take_again(trainer)] == ["not taken again", "forgotten"]
