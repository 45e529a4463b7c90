"""Batches that are computed once: kept in a journal, shared by processes."""

from pathlib import Path
from typing import Any

import pytest

from ngdiff.evaluation.journal import Journal
from ngdiff.evaluation.processes import Processes
from ngdiff.evaluation.work import Work

BATCHES = [[4, 1], [0], [2, 3]]
VALUES = {i: {"nll": [0.1 * i, 1e-300, 2 / 3], "said": None if i else "é\u2028\n"} for i in range(5)}


def run(work: Work, computed: list[list[int]], stage: str = "losses") -> dict[int, Any]:
    def compute(batch: list[int]) -> list[Any]:
        computed.append(batch)
        return [VALUES[i] for i in batch]

    return work.run(stage, BATCHES, compute)


def test_each_batch_once(tmp_path: Path) -> None:
    computed: list[list[int]] = []
    assert run(Work(show_progress=False), computed) == VALUES
    assert computed == BATCHES


def test_what_the_journal_holds_is_not_computed_again(tmp_path: Path) -> None:
    def killed(batch: list[int]) -> list[Any]:
        if batch == BATCHES[1]:
            raise KeyboardInterrupt
        return [VALUES[i] for i in batch]

    work = Work(journal=Journal(tmp_path), show_progress=False)
    with pytest.raises(KeyboardInterrupt):
        work.run("losses", BATCHES, killed)
    computed: list[list[int]] = []
    assert run(Work(journal=Journal(tmp_path), show_progress=False), computed) == VALUES  # floats bit for bit
    assert computed == BATCHES[1:]
    assert run(Work(journal=Journal(tmp_path), show_progress=False), computed, "answers") == VALUES
    assert computed == [*BATCHES[1:], *BATCHES]  # another stage has nothing yet


@pytest.mark.parametrize("cut", [1, 5, 30])
def test_a_line_cut_short_is_computed_again(tmp_path: Path, cut: int) -> None:
    run(Work(journal=Journal(tmp_path), show_progress=False), [])
    (file,) = tmp_path.iterdir()
    file.write_bytes(file.read_bytes()[:-cut])
    computed: list[list[int]] = []
    again = Work(journal=Journal(tmp_path), show_progress=False)
    assert run(again, computed) == VALUES
    # Cutting only the end of the line loses nothing.
    assert computed == ([] if cut == 1 else BATCHES[2:])
    assert run(again, computed) == VALUES
    assert len(computed) == (0 if cut == 1 else 1)


@pytest.mark.parametrize(
    "damage",
    [
        lambda line: line.replace(b'"stage"', b'"st\xffge"'),
        lambda line: b'{"items": [0], "values": [1.5]}',
        lambda line: b'{"stage": "losses", "items": [0, 1], "values": [1.5]}',
        lambda line: b'{"stage": "losses", "items": 3, "values": null}',
        lambda line: b"[" * 100_000,
        lambda line: b"9" * 5000,
        lambda line: line.replace(b"0.", b"1.", 1),
        lambda line: b"null",
    ],
)
def test_a_line_that_is_not_what_was_written_is_computed_again(tmp_path: Path, damage: Any) -> None:
    run(Work(journal=Journal(tmp_path), show_progress=False), [])
    (file,) = tmp_path.iterdir()
    first, *others = file.read_bytes().splitlines()
    assert damage(first) != first
    file.write_bytes(b"\n".join([damage(first), *others]) + b"\n")
    computed: list[list[int]] = []
    assert run(Work(journal=Journal(tmp_path), show_progress=False), computed) == VALUES
    assert computed == BATCHES[:1]


def test_processes_share_the_batches(tmp_path: Path) -> None:
    parts: list[list[list[int]]] = [[], []]
    for rank in (0, 1):
        run(Work(Alone(rank, 2), Journal(tmp_path, rank), show_progress=False), parts[rank])
    assert parts == [[BATCHES[0], BATCHES[2]], [BATCHES[1]]]
    computed: list[list[int]] = []
    assert run(Work(journal=Journal(tmp_path), show_progress=False), computed) == VALUES  # one resumes what two began
    assert computed == []


class Alone(Processes):
    """One of several that does not wait for the others, and finds nothing done."""

    def broadcast(self, value: Any) -> Any:
        return {}

    def gather(self, own: dict[int, Any]) -> dict[int, Any]:
        return own


def test_the_bar_counts_what_is_left(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    work = Work(journal=Journal(tmp_path))
    work.run("losses", BATCHES, lambda batch: [0] * len(batch), sizes=[10, 20, 30, 40, 50], unit="tok")
    err = capsys.readouterr().err
    assert "losses: 100%" in err
    assert "150/150" in err
    work.run("losses", BATCHES, lambda batch: [0] * len(batch))
    assert capsys.readouterr().err == ""


def test_values_that_are_no_numbers_never_enter(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="Out of range float values"):
        Journal(tmp_path).add("losses", [0], [float("nan")])


def test_removed_with_those_of_other_processes(tmp_path: Path) -> None:
    for rank in (0, 1):
        Journal(tmp_path, rank).add("losses", [rank], [1.5])
    (tmp_path / "records_forget.jsonl").write_text("kept")
    assert Journal(tmp_path).finished("losses") == {0: 1.5, 1: 1.5}
    Journal(tmp_path).remove()
    assert [path.name for path in tmp_path.iterdir()] == ["records_forget.jsonl"]
    assert Journal(None).finished("losses") == {}
