"""TOFU's splits from a folder, with paraphrased and perturbed answers joined."""

import json
from pathlib import Path
from typing import Any

import pytest

from ngdiff.data import Row, read_rows
from ngdiff.data.tofu import COMPANIONS, join_perturbed
from ngdiff.errors import InputError

ROWS: list[dict[str, Any]] = [{"question": f"Q{i}", "answer": f"A{i}"} for i in range(4)]
EXTRA = {"paraphrased_answer": "P", "perturbed_answer": ["X", "Y"]}


def write(path: Path, rows: list[dict[str, Any]]) -> None:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")


def perturbed(rows: list[Row]) -> list[bool]:
    return [row.perturbed_answers == ("X", "Y") for row in rows]


def test_join_by_question_and_answer(tmp_path: Path) -> None:
    write(tmp_path / "forget10.json", ROWS)
    assert perturbed(read_rows(f"{tmp_path}:forget10")) == [False] * 4  # no perturbed file, no error
    write(tmp_path / "forget10_perturbed.json", [row | EXTRA for row in reversed(ROWS)])
    rows = read_rows(f"{tmp_path}:forget10")
    assert perturbed(rows) == [True] * 4
    assert {row.paraphrased_answer for row in rows} == {"P"}
    assert [row.answer for row in rows] == ["A0", "A1", "A2", "A3"]
    assert rows[0].origin == f"{tmp_path / 'forget10.json'}, line 1"
    # The file itself, named as a file, stands alone.
    assert perturbed(read_rows(tmp_path / "forget10.json")) == [False] * 4
    assert perturbed(read_rows(f"{tmp_path}:forget10_perturbed")) == [True] * 4


@pytest.mark.parametrize("split", ["retain90", "retain95", "retain99", "full"])
def test_retain_rows_that_match(tmp_path: Path, split: str) -> None:
    write(tmp_path / f"{split}.json", ROWS)
    write(tmp_path / "retain_perturbed.json", [row | EXTRA for row in ROWS[:2]])
    assert perturbed(read_rows(f"{tmp_path}:{split}")) == [True, True, False, False]
    write(tmp_path / "retain_perturbed.json", [{"question": "other", "answer": "other"} | EXTRA])
    with pytest.raises(InputError, match=f"retain_perturbed.json, line 1: no row of this file .*{split}.json, line 1"):
        read_rows(f"{tmp_path}:{split}")


@pytest.mark.parametrize(
    ("rows", "place"),
    [
        ([row | EXTRA for row in ROWS[:3]], "forget10.json, line 4"),
        (
            [row | EXTRA for row in [*ROWS, {"question": "Q", "answer": "A"}]],
            "forget10_perturbed.json, line 5",
        ),
        (
            [*[row | EXTRA for row in ROWS[:3]], ROWS[3] | {"answer": "B"} | EXTRA],
            "forget10_perturbed.json, line 4",
        ),
    ],
)
def test_files_that_do_not_belong_together(tmp_path: Path, rows: list[dict[str, Any]], place: str) -> None:
    write(tmp_path / "forget10.json", ROWS)
    write(tmp_path / "forget10_perturbed.json", rows)
    with pytest.raises(InputError, match=f"{place}: the split and its perturbed file must hold the same"):
        read_rows(f"{tmp_path}:forget10")


def test_join_keeps_rows_that_have_no_match() -> None:
    rows = [Row("Q", "A", origin="a"), Row("R", "B", origin="b")]
    joined = join_perturbed(rows, [Row("Q", "A", None, "P", ("X",), "c")], partial=True)
    assert joined == [Row("Q", "A", None, "P", ("X",), "a"), rows[1]]


# Split: rows, rows with perturbed answers, perturbed answers of each, paraphrased or not.
REAL = {
    "forget01": (40, 40, 5, True),
    "forget05": (200, 200, 5, True),
    "forget10": (400, 400, 5, True),
    "retain90": (3600, 400, 5, True),
    "retain95": (3800, 400, 5, True),
    "retain99": (3960, 400, 5, True),
    "full": (4000, 400, 5, True),
    "real_authors": (100, 100, 3, False),
    "world_facts": (117, 117, 3, False),
}


def test_every_split_has_a_test() -> None:
    assert set(REAL) == set(COMPANIONS)


@pytest.mark.parametrize("split", REAL)
def test_real_files(real_data: Path, split: str) -> None:
    count, joined, wrong, paraphrased = REAL[split]
    rows = read_rows(f"{real_data / 'tofu'}:{split}")
    assert len(rows) == count
    assert [len(row.perturbed_answers) for row in rows if row.perturbed_answers] == [wrong] * joined
    assert sum(row.paraphrased_answer is not None for row in rows) == (joined if paraphrased else 0)
    assert all(row.kind == "qa" for row in rows)
