"""The demo set: TOFU's format, unique people, wrong answers that are wrong, the same on every machine."""

import hashlib
import json
import re
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from ngdiff.data import check_overlap, fictional_people, read_rows, split_people, unseen_people, write_people
from ngdiff.data.people_questions import FAMILY_NAMES, GIVEN_NAMES, KINDS, MOST_PEOPLE, VALUES
from ngdiff.errors import InputError


@pytest.fixture(scope="module")
def all_people() -> list[Any]:
    return fictional_people(MOST_PEOPLE)


def people(rows: list[Any], questions: int = len(KINDS)) -> list[list[Any]]:
    return [rows[i : i + questions] for i in range(0, len(rows), questions)]


def name_of(person: list[Any]) -> str:
    """The two words that all questions about a person share."""
    pairs = [
        {f"{a} {b}" for a, b in pairwise(words)}
        for row in person
        if (words := row["question"].replace("'s ", " ").replace("?", " ").replace(",", " ").split())
    ]
    (name,) = set.intersection(*pairs)
    return name


def test_enough_people_all_different(all_people: list[Any]) -> None:
    names = [name_of(person) for person in people(all_people)]
    assert len(set(names)) == MOST_PEOPLE >= 400
    assert len({name.split()[0] for name in names}) == MOST_PEOPLE
    assert len({name.split()[1] for name in names}) == MOST_PEOPLE
    questions = [row["question"] for row in all_people]
    assert len(set(questions)) == len(questions)


def test_every_text_names_its_person(all_people: list[Any]) -> None:
    for person in people(all_people)[:100]:
        name = name_of(person)
        for row in person:
            for key in ("question", "paraphrased_question", "answer", "paraphrased_answer"):
                assert name in row[key]
            assert all(name in wrong for wrong in row["perturbed_answer"])


def read_answer(text: str, kind: Any) -> tuple[int, dict[str, str]]:
    """Number of the wording and what fills its slots."""
    found = []
    for number, wording in enumerate(kind.answers):
        pattern = re.sub(r"\\{(\w+)\\}", r"(?P<\1>.+)", re.escape(wording))
        if match := re.fullmatch(pattern, text):
            found.append((number, match.groupdict()))
    (only,) = found
    return only


def test_wrong_answers_are_wrong_in_every_fact_and_worded_as_the_paraphrase(all_people: list[Any]) -> None:
    for person in people(all_people)[:200]:
        name = name_of(person)
        for row, kind in zip(person, KINDS, strict=True):
            first, truth = read_answer(row["answer"], kind)
            second, again = read_answer(row["paraphrased_answer"], kind)
            assert first != second
            assert truth == again
            assert truth["name"] == name
            assert row["question"] != row["paraphrased_question"]
            assert len(row["perturbed_answer"]) == 5
            wrong = [read_answer(text, kind) for text in row["perturbed_answer"]]
            assert {number for number, _ in wrong} == {second}
            for slot in kind.slots:
                values = [facts[slot] for _, facts in wrong]
                assert len({*values, truth[slot]}) == 6
                assert set(values) < set(VALUES[slot])
            assert all(facts["name"] == name for _, facts in wrong)


def test_several_wordings(all_people: list[Any]) -> None:
    assert len(KINDS) >= 6
    for number, kind in enumerate(KINDS):
        rows = all_people[number :: len(KINDS)]
        assert len(kind.questions) >= 3
        assert len(kind.answers) >= 3
        for wording in kind.questions:
            assert sum(row["question"].startswith(wording.split("{")[0]) for row in rows) > MOST_PEOPLE / 6


def test_value_lists_hold_no_value_twice() -> None:
    for values in (GIVEN_NAMES, FAMILY_NAMES, *VALUES.values()):
        assert len(set(values)) == len(values) > 5


def test_a_seed_always_gives_the_same_rows(all_people: list[Any]) -> None:
    """Pinned: a change of Python, platform or word list that changes the demo must not go unnoticed."""
    digest = hashlib.sha256(json.dumps(all_people).encode()).hexdigest()
    assert digest == "cd021b38288a6525d24d8b0d28229025b97b47dd59dc9209fee7af4b3b7b0848"
    assert fictional_people(3) == fictional_people(3)
    assert fictional_people(3) != fictional_people(3, seed=1)


def test_unseen_people_are_not_those_of_the_demo(all_people: list[Any]) -> None:
    unseen, demo = unseen_people(), {row["question"] for row in all_people}
    assert len(unseen) == 160
    assert unseen == unseen_people()
    assert not {row.prompt for row in unseen} & demo
    assert {row.kind for row in unseen} == {"qa"}


def test_more_people_come_at_the_end(all_people: list[Any]) -> None:
    assert fictional_people(7) == all_people[: 7 * len(KINDS)]
    for person, whole in zip(people(fictional_people(7, questions=3), 3), people(all_people), strict=False):
        assert person == whole[:3]


def test_split_by_person() -> None:
    rows = fictional_people(25, questions=4)
    forget, retain = split_people(25, questions=4)
    assert retain + forget == rows
    assert len(forget) == 2 * 4
    assert not {name_of(person) for person in people(forget, 4)} & {name_of(person) for person in people(retain, 4)}
    assert len(split_people(2, questions=1)[0]) == 1
    assert len(split_people(2, questions=1, forget_fraction=0.99)[1]) == 1
    assert len(split_people(10, questions=1, forget_fraction=0.5)[0]) == 5


def test_written_files_can_be_read(tmp_path: Path) -> None:
    paths = write_people(tmp_path / "new" / "folder", 20, questions=5, seed=3)
    assert sorted(path.name for path in paths.values()) == ["forget.jsonl", "full.jsonl", "retain.jsonl"]
    forget, retain, full = (read_rows(paths[name]) for name in ("forget", "retain", "full"))
    assert (len(forget), len(retain), len(full)) == (10, 90, 100)
    assert check_overlap(forget, retain, drop=False) == (retain, 0)
    rows = fictional_people(20, questions=5, seed=3)
    assert [row.prompt for row in full] == [row["question"] for row in rows]
    assert all(row.paraphrased_answer and len(row.perturbed_answers) == 5 for row in full)
    assert read_rows(f"{tmp_path / 'new' / 'folder'}:forget") == forget
    before = paths["full"].read_bytes()
    write_people(tmp_path / "new" / "folder", 20, questions=5, seed=3)
    assert paths["full"].read_bytes() == before


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: fictional_people(0), "people must be 1 to 480, found 0"),
        (lambda: fictional_people(481), "people must be 1 to 480, found 481"),
        (lambda: fictional_people(5, questions=0), "questions must be 1 to 8, found 0"),
        (lambda: fictional_people(5, questions=9), "questions must be 1 to 8, found 9"),
        (lambda: split_people(1), "a split needs at least 2 people .* found 1 and 0.1"),
        (lambda: split_people(5, forget_fraction=1.0), "forget_fraction between 0 and 1, found 5 and 1.0"),
    ],
)
def test_out_of_range(call: Any, message: str) -> None:
    with pytest.raises(InputError, match=message):
        call()


def test_further_people_are_in_no_other_file(tmp_path: Path) -> None:
    paths = write_people(tmp_path, 20, questions=5, seed=3, holdout=2, base=3)
    found = {name: path.read_text(encoding="utf-8").splitlines() for name, path in paths.items()}
    assert {name: len(lines) for name, lines in found.items()} == {
        "forget": 10,
        "retain": 90,
        "full": 100,
        "holdout": 10,
        "base": 15,
    }
    assert len({*found["full"], *found["holdout"], *found["base"]}) == 125
