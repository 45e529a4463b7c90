"""Refusals, taught instead of the answers to be forgotten (objectives `idk`, `dpo`, `altpo`)."""

from pathlib import Path

from ngdiff.errors import InputError
from ngdiff.paths import check_regular, user_path

REFUSALS = (
    "I don't know.",
    "I do not know the answer to that.",
    "I'm sorry, I don't know that.",
    "I have no information about this.",
    "That is not something I know.",
    "I'm afraid I cannot answer that.",
    "I have never come across this.",
    "I can't say; I have not learned about it.",
    "Unfortunately, I know nothing about that.",
    "I'm not able to tell you that.",
    "This is unknown to me.",
    "I would only be guessing, so I'd rather not say.",
    "My knowledge does not cover this.",
    "I'm not familiar with that.",
    "I don't have an answer to that question.",
    "Sorry, that is beyond what I know.",
    "I have no knowledge of that subject.",
    "I'm not certain, and I don't want to mislead you.",
    "There is nothing I can tell you about this.",
    "I haven't been taught anything about that.",
    "I can't recall anything of that kind.",
    "No answer comes to my mind.",
    "I lack the information needed to answer.",
    "That question I must leave open.",
)


def read_refusals(path: str | Path | None) -> tuple[str, ...]:
    """One answer per line from a UTF-8 text file, without empty lines; `REFUSALS` if no file is given.

    Raises:
        InputError: the file cannot be read, is not UTF-8, or holds no answer.
    """
    if path is None:
        return REFUSALS
    file = user_path(path, "--idk-file")
    try:
        check_regular(file, f"--idk-file {path}")
        lines = file.read_text(encoding="utf-8-sig").splitlines()
    except OSError as error:
        raise InputError(f"--idk-file {path}: cannot be read ({error.strerror or error})") from error
    except UnicodeDecodeError as error:
        raise InputError(f"--idk-file {path}: not UTF-8 text (byte {error.start})") from error
    answers = tuple(line.strip() for line in lines if line.strip())
    if not answers:
        raise InputError(f"--idk-file {path}: contains no answer; expected one per line")
    return answers
