"""The built-in demo set: questions and answers about people who do not exist, in TOFU's format.

All names, towns, books and prizes are composed from invented syllables and word lists. As the people occur nowhere
else, a model can know them only from this set, and a model trained without them shows the ideal result of forgetting
(the idea of TOFU, Maini et al. 2024, arXiv 2401.06121; none of its text is used).
"""

import random
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import TypedDict, TypeVar

from ngdiff.data.people_questions import FAMILY_NAMES, GIVEN_NAMES, KINDS, MOST_PEOPLE, VALUES, Kind
from ngdiff.data.rows import Row
from ngdiff.errors import InputError, WriteError
from ngdiff.writing import json_lines, write_text

T = TypeVar("T")
WRONG_ANSWERS = 5


class PersonRow(TypedDict):
    """One question about one person, with TOFU's column names."""

    question: str
    answer: str
    paraphrased_question: str
    paraphrased_answer: str
    perturbed_answer: list[str]


UNSEEN_PEOPLE = 20
_UNSEEN_SEED = 2410  # not that of the demo, whose model knows its people


def unseen_people() -> list[Row]:
    """160 rows about people who do not exist, whom no model has seen; for levels where there are no holdout rows."""
    rows = fictional_people(UNSEEN_PEOPLE, seed=_UNSEEN_SEED)
    return [
        Row(row["question"], row["answer"], origin=f"made-up person, row {number}")
        for number, row in enumerate(rows, start=1)
    ]


def fictional_people(people: int = 40, *, questions: int = len(KINDS), seed: int = 0) -> list[PersonRow]:
    """Questions and answers about `people` invented authors, `questions` rows each, person after person.

    Names and books are unique to a person. The paraphrased answer has the same meaning in other words. The five
    perturbed answers are wrong in every fact, all different, and in the wording of the paraphrased answer: the truth
    ratio compares the two, and differences in wording would mask differences in facts.

    The same arguments give the same rows on every platform and Python version, and a larger `people` only
    adds people at the end: everything is drawn with `random.Random.random`, whose sequence Python guarantees.

    Args:
        people: 1 to 480.
        questions: 1 to 8 kinds of question per person.
        seed: Another seed, other people.

    Raises:
        InputError: an argument out of range.

    >>> rows = fictional_people(2, questions=3)
    >>> len(rows), len(rows[0]["perturbed_answer"])
    (6, 5)
    """
    if not 1 <= people <= MOST_PEOPLE:
        raise InputError(f"people must be 1 to {MOST_PEOPLE}, found {people}.")
    if not 1 <= questions <= len(KINDS):
        raise InputError(f"questions must be 1 to {len(KINDS)}, found {questions}.")
    draw = random.Random(f"fictional people {seed}").random
    given = _pick(GIVEN_NAMES, MOST_PEOPLE, draw)
    family = _pick(FAMILY_NAMES, MOST_PEOPLE, draw)
    books = _pick(VALUES["book"], MOST_PEOPLE, draw)
    rows = []
    for i in range(people):
        draw = random.Random(f"fictional person {seed} {i}").random
        facts = {slot: _pick(values, 1, draw)[0] for slot, values in VALUES.items()}
        facts |= {"name": f"{given[i]} {family[i]}", "book": books[i]}
        rows += [_row(kind, facts, draw) for kind in KINDS[:questions]]
    return rows


def _row(kind: Kind, facts: dict[str, str], draw: Callable[[], float]) -> PersonRow:
    question, other_question = _pick(kind.questions, 2, draw)
    answer, other_answer = _pick(kind.answers, 2, draw)
    wrong = {
        slot: _pick([value for value in VALUES[slot] if value != facts[slot]], WRONG_ANSWERS, draw)
        for slot in kind.slots
    }
    return {
        "question": question.format_map(facts),
        "answer": answer.format_map(facts),
        "paraphrased_question": other_question.format_map(facts),
        "paraphrased_answer": other_answer.format_map(facts),
        "perturbed_answer": [
            other_answer.format_map(facts | {slot: values[j] for slot, values in wrong.items()})
            for j in range(WRONG_ANSWERS)
        ],
    }


def _pick(values: Sequence[T], count: int, draw: Callable[[], float]) -> list[T]:
    """`count` different positions of `values` (Fisher-Yates, by `random()` alone for the sake of
    repeatability)."""
    pool = list(values)
    for i in range(count):
        j = i + int(draw() * (len(pool) - i))
        pool[i], pool[j] = pool[j], pool[i]
    return pool[:count]


def split_people(
    people: int = 40, *, questions: int = len(KINDS), seed: int = 0, forget_fraction: float = 0.1
) -> tuple[list[PersonRow], list[PersonRow]]:
    """`fictional_people` as (forget, retain): the last `forget_fraction` of the people, and the others.

    At least one person is on either side.

    Raises:
        InputError: an argument out of range; a split needs two people.

    >>> forget, retain = split_people(20, questions=2)
    >>> len(forget), len(retain)
    (4, 36)
    """
    if people < 2 or not 0 < forget_fraction < 1:
        raise InputError(
            f"a split needs at least 2 people and a forget_fraction between 0 and 1, found {people} and "
            f"{forget_fraction}."
        )
    rows = fictional_people(people, questions=questions, seed=seed)
    forgotten = min(max(round(people * forget_fraction), 1), people - 1)
    border = (people - forgotten) * questions
    return rows[border:], rows[:border]


def write_people(
    folder: Path | str,
    people: int = 40,
    *,
    questions: int = len(KINDS),
    seed: int = 0,
    forget_fraction: float = 0.1,
    holdout: int = 0,
    base: int = 0,
) -> dict[str, Path]:
    """Write `forget.jsonl`, `retain.jsonl` and `full.jsonl` (retain, then forget) and return their paths by
    name; with further people also `holdout.jsonl` and `base.jsonl`.

    Args:
        folder: Where to; it is made.
        people, questions, seed, forget_fraction: As for `split_people`.
        holdout, base: How many further people, who are in no other file.

    Raises:
        InputError: as `split_people`.
        WriteError: the disk is full, or the folder cannot be written.
    """
    forget, retain = split_people(people, questions=questions, seed=seed, forget_fraction=forget_fraction)
    folder = Path(folder)
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise WriteError(folder, error) from error
    further = fictional_people(people + holdout + base, questions=questions, seed=seed)[people * questions :]
    sets = {"forget": forget, "retain": retain, "full": retain + forget}
    border = holdout * questions
    sets |= {name: rows for name, rows in (("holdout", further[:border]), ("base", further[border:])) if rows}
    paths = {}
    for name, rows in sets.items():
        paths[name] = folder / f"{name}.jsonl"
        write_text(paths[name], json_lines(rows))
    return paths
