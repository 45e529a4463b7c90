"""`--retain auto` and `--protect auto`: the model's own answers to general questions, made before unlearning."""

import hashlib
import logging
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from ngdiff.data import Row, Template, read_rows
from ngdiff.data.general_prompts import GENERAL_PROMPTS
from ngdiff.errors import InputError
from ngdiff.file_names import PRIVATE
from ngdiff.plurals import number_of
from ngdiff.writing import json_lines, write_text

logger = logging.getLogger(__name__)

AUTO = "auto"
FILES = {"retain": "retain_auto.jsonl", "protect": "protect_auto.jsonl"}  # in `private/` of the output
MADE_FORM = "qa"  # of these files, as `--columns` names it
MAX_NEW_TOKENS = 64
SOURCE = "auto: the model's own answers to general questions"


def refuse_elsewhere(role: str, command: str) -> InputError:
    """Why a command other than `unlearn` has no such set."""
    return InputError(
        f"--{role} {AUTO} is for ngdiff unlearn, which keeps the rows in the {PRIVATE}/{FILES[role]} of its output: "
        f"give that file to {command}, or your own (./{AUTO} for one of that name)"
    )


def roles_of(options: Any) -> list[str]:
    """The sets that are to be made.

    Raises:
        InputError: both, which would be the same rows.
    """
    roles = [role for role in FILES if getattr(options, role) == AUTO]
    if len(roles) > 1:
        raise InputError(f"--protect {AUTO}: --retain {AUTO} keeps the same answers; leave one of them out")
    return roles


def why_one_process(role: str) -> str:
    """Why several processes make no rows, and what to do."""
    return (
        f"--{role} {AUTO} makes its rows in one process; unlearn once in one process (--max-steps 1), and give the "
        f"{PRIVATE}/{FILES[role]} of its output"
    )


def question_rows() -> list[Row]:
    """The questions, with placeholder answers."""
    return [Row(prompt, "x", origin=f"general question {i}") for i, prompt in enumerate(GENERAL_PROMPTS, start=1)]


def longest_rows() -> list[Row]:
    """The questions with answers as long as the model's may become, to estimate a run before there are any."""
    return [replace(row, answer=" x" * MAX_NEW_TOKENS) for row in question_rows()]


def made_rows(
    role: str,
    model: Any,
    tokenizer: Any,
    template: Template,
    forget: Sequence[Row],
    *,
    max_length: int | None = None,
) -> list[Row]:
    """The questions with the answers of the model, greedily; without empty ones and those similar to a forget row.

    Args:
        role: Name of the set's option, without dashes.
        model, tokenizer, template: What answers.
        forget: The rows to forget.
        max_length: Tokens of a row; questions that leave none of them for an answer are left out. None: any length.

    Raises:
        InputError: there are none: no question is short enough, or the model has no answer of use.
    """
    from ngdiff.data.encode import encode, end_token_ids
    from ngdiff.data.near import near_duplicates
    from ngdiff.evaluation.generation import generate_answers

    prompts = {row: encode(row, tokenizer, template, max_length=1 << 30).prompt_ids for row in question_rows()}
    shortest = min(map(len, prompts.values()))
    rows = [row for row, ids in prompts.items() if max_length is None or len(ids) < max_length]
    if not rows:
        raise InputError(
            f"--{role} {AUTO}: its questions have {shortest} tokens and more, which leaves none for an answer within "
            f"--max-length {max_length}; give --{role} FILE"
        )
    logger.info("--%s %s: the model answers %d general questions ...", role, AUTO, len(rows))
    said = generate_answers(
        model,
        tokenizer,
        [prompts[row] for row in rows],
        max_new_tokens=MAX_NEW_TOKENS,
        end_ids=end_token_ids(tokenizer, template),
        show_progress=False,
    )
    made = [
        Row(row.prompt, answer, origin=row.origin) for row, answer in zip(rows, said, strict=True) if answer.strip()
    ]
    answers = [Row("", row.answer) for row in made]  # a question of ours makes no answer less near
    near = {pair.second for pair in near_duplicates([Row("", row.answer) for row in forget], answers)}
    kept = [row for place, row in enumerate(made) if place not in near]
    if not kept:
        raise InputError(f"--{role} {AUTO}: the model has no answer of use to general questions; give --{role} FILE")
    if role == "retain":
        logger.warning("%s", warning_of(len(kept)))
    return kept


def warning_of(rows: int) -> str:
    """What such a retain set can protect, and what it cannot; for the run, its manifest and its report."""
    return (
        f"The retain set is {number_of(rows, 'answer')} of the model itself to general questions (--retain {AUTO}). It "
        "protects how the model speaks, and the common knowledge that these questions touch. It cannot protect what "
        "they do not ask for: facts of your own field, rows of the same kind as the forgotten ones, other languages "
        "than English, long texts. Unlearning damages those first. Give rows of your own with --retain FILE as soon as "
        "there are any, and measure with them."
    )


def as_extra(role: str, rows: Sequence[Row]) -> dict[str, Any]:
    """For the manifest."""
    found = {
        "prompts": len(GENERAL_PROMPTS),
        "prompts_sha256": hashlib.sha256("\n".join(GENERAL_PROMPTS).encode()).hexdigest(),
        "rows": len(rows),
        "max_new_tokens": MAX_NEW_TOKENS,
    }
    return {f"{role}_auto": found | ({"warning": warning_of(len(rows))} if role == "retain" else {})}


def write_made(role: str, folder: Path, rows: Sequence[Row]) -> None:
    """Keep the rows in `private/`, for `--resume` and for evaluations."""
    from ngdiff.evaluation.write import private_folder

    lines = json_lines({"question": row.prompt, "answer": row.answer} for row in rows)
    write_text(private_folder(folder) / FILES[role], lines, private=True)


def kept_rows(role: str, folder: Path) -> list[Row] | None:
    """The rows of a resumed run; None if it had none yet."""
    path = folder / PRIVATE / FILES[role]
    return read_rows(path, role=f"--{role}") if path.is_file() else None
