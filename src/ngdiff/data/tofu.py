"""TOFU (Maini et al. 2024, arXiv 2401.06121): its splits, and the paraphrased and perturbed answers beside
them.

TOFU keeps the answers that the truth ratio needs in files of their own, `forget10_perturbed` beside
`forget10`, with the same questions and answers. Reading a split joins them by question and answer, so that
one source is enough for training and for scoring. On the hub the splits are configurations of
`locuslab/TOFU`.
"""

from collections.abc import Sequence
from dataclasses import replace

from ngdiff.data.rows import Row
from ngdiff.errors import InputError

HUB_ID = "locuslab/TOFU"

# Split -> the split with its perturbed answers.
COMPANIONS: dict[str, str] = {
    "forget01": "forget01_perturbed",
    "forget05": "forget05_perturbed",
    "forget10": "forget10_perturbed",
    "retain90": "retain_perturbed",
    "retain95": "retain_perturbed",
    "retain99": "retain_perturbed",
    "full": "retain_perturbed",
    "real_authors": "real_authors_perturbed",
    "world_facts": "world_facts_perturbed",
}
SPLITS = ("forget01", "forget05", "forget10")  # those to forget
# retain_perturbed covers 400 of the 3600 to 4000 rows; the others cover their split exactly.
PARTIAL = ("retain_perturbed",)


def join_perturbed(rows: Sequence[Row], perturbed: Sequence[Row], *, partial: bool) -> list[Row]:
    """`rows` with the paraphrased and perturbed answers of those rows of `perturbed` that are the same.

    Args:
        rows: A TOFU split.
        perturbed: Its companion, joined by (prompt, answer).
        partial: The companion covers a part of the rows only; one match is enough then. Otherwise both must
            hold the same questions and answers.

    Raises:
        InputError: the two do not belong together.

    >>> perturbed = Row("Who?", "Orla.", perturbed_answers=("Bran.",))
    >>> join_perturbed([Row("Who?", "Orla.")], [perturbed], partial=False)[0].perturbed_answers
    ('Bran.',)
    """
    found = {(row.prompt, row.answer): row for row in perturbed}
    wanted = {(row.prompt, row.answer) for row in rows}
    stray = next((row for row in perturbed if (row.prompt, row.answer) not in wanted), None)
    bare = next((row for row in rows if (row.prompt, row.answer) not in found), None)
    if partial and not wanted & found.keys():
        raise InputError(
            f"{perturbed[0].origin}: no row of this file has the question and answer of a row of the split "
            f"it belongs to ({rows[0].origin}); remove it or put the right one in its place."
        )
    if not partial and (stray or bare):
        raise InputError(
            f"{(stray or bare or rows[0]).origin}: the split and its perturbed file must hold the same "
            "questions and answers, but this row is in one of them only; remove the perturbed file or put "
            "the right one in its place."
        )
    joined = []
    for row in rows:
        match = found.get((row.prompt, row.answer))
        if match is not None:
            row = replace(row, paraphrased_answer=match.paraphrased_answer, perturbed_answers=match.perturbed_answers)
        joined.append(row)
    return joined
