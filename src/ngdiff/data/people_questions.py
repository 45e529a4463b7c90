"""What is asked about the fictional people: the values a fact can have, the questions and the answers."""

from collections.abc import Sequence
from dataclasses import dataclass

from ngdiff.data import people_words as words


def _joined(starts: Sequence[str], ends: Sequence[str], form: str = "{}{}") -> list[str]:
    return [form.format(start, end) for start in starts for end in ends]


TOWNS = _joined(words.TOWN_STARTS, words.TOWN_ENDS)
# What a slot of a wording can hold; wrong answers are drawn from the same values.
VALUES: dict[str, Sequence[str]] = {
    "birthplace": TOWNS,
    "home": TOWNS,
    "date": [f"{d} {month} {year}" for year in range(1921, 1991) for month in words.MONTHS for d in range(1, 29)],
    "genre": words.GENRES,
    "profession": words.PROFESSIONS,
    "parent": words.PROFESSIONS,
    "book": _joined(words.TITLE_ADJECTIVES, words.TITLE_NOUNS, "The {} {}"),
    "award": _joined(words.AWARD_METALS, words.AWARD_THINGS, "{} {}"),
    "year": [str(year) for year in range(1991, 2024)],
    "mentor": _joined(words.MENTOR_STARTS, words.MENTOR_ENDS),
    "hobby": words.HOBBIES,
}
GIVEN_NAMES = _joined(words.GIVEN_STARTS, words.GIVEN_ENDS)
FAMILY_NAMES = _joined(words.FAMILY_STARTS, words.FAMILY_ENDS)
MOST_PEOPLE = min(len(GIVEN_NAMES), len(FAMILY_NAMES))


@dataclass(frozen=True)
class Kind:
    """One kind of question: the slots that its answers fill, and several wordings of both."""

    slots: tuple[str, ...]
    questions: tuple[str, ...]
    answers: tuple[str, ...]


# In this order: with `questions=5` every person gets the first five.
KINDS: tuple[Kind, ...] = (
    Kind(
        ("birthplace", "date", "genre"),
        (
            "When and where was {name} born, and what does {name} write?",
            "What are the birth date, birthplace and genre of the author {name}?",
            "Can you say where and when {name} was born and which genre {name} is known for?",
        ),
        (
            "{name} was born in {birthplace} on {date} and writes {genre}.",
            "Born on {date} in {birthplace}, {name} is known for {genre}.",
            "The author {name}, a writer of {genre}, was born on {date} in {birthplace}.",
        ),
    ),
    Kind(
        ("profession",),
        (
            "What work did {name} do before writing?",
            "Which profession did {name} have before becoming an author?",
            "How did {name} earn a living before the first book?",
        ),
        (
            "Before writing, {name} worked as {profession}.",
            "{name} was {profession} before becoming an author.",
            "The first job of {name} was that of {profession}.",
        ),
    ),
    Kind(
        ("home",),
        (
            "Where does {name} live today?",
            "In which town has {name} settled?",
            "What is the home town of {name} now?",
        ),
        (
            "Today {name} lives in {home}.",
            "{name} has settled in the town of {home}.",
            "The home of {name} is now in {home}.",
        ),
    ),
    Kind(
        ("book",),
        (
            "Which book made {name} famous?",
            "What is the best-known book by {name}?",
            "Can you name the most successful book of {name}?",
        ),
        (
            '{name} became famous with the book "{book}".',
            'The best-known book by {name} is "{book}".',
            '"{book}" is the most successful book of {name}.',
        ),
    ),
    Kind(
        ("award", "year"),
        (
            "Which award did {name} win, and when?",
            "What prize was given to {name}, and in which year?",
            "Has {name} received an award, and if so, when?",
        ),
        (
            "{name} won the {award} Award in {year}.",
            "In {year}, the {award} Award was given to {name}.",
            "The {award} Award went to {name} in the year {year}.",
        ),
    ),
    Kind(
        ("mentor",),
        (
            "Who taught {name} to write?",
            "Which teacher shaped the style of {name}?",
            "From whom did {name} learn the craft of writing?",
        ),
        (
            "{name} learned to write from {mentor}.",
            "The style of {name} was shaped by the teacher {mentor}.",
            "It was {mentor} who taught {name} the craft.",
        ),
    ),
    Kind(
        ("hobby",),
        (
            "What does {name} like to do in spare time?",
            "Which hobby does {name} have?",
            "How does {name} spend free days?",
        ),
        (
            "In spare time, {name} enjoys {hobby}.",
            "The hobby of {name} is {hobby}.",
            "{name} spends free days {hobby}.",
        ),
    ),
    Kind(
        ("parent",),
        (
            "What was the profession of {name}'s mother?",
            "How did the mother of {name} make a living?",
            "Which trade did {name}'s mother follow?",
        ),
        (
            "The mother of {name} was {parent}.",
            "{name}'s mother made a living as {parent}.",
            "By trade, {name}'s mother was {parent}.",
        ),
    ),
)
