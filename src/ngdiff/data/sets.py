"""What is evaluated together under one name: rows, and how much of an answer is looked at."""

from collections.abc import Sequence
from dataclasses import dataclass

from ngdiff.data.rows import Row


@dataclass(frozen=True)
class EvaluationSet:
    """Rows and how they are predicted. The defaults are those of a user's own rows.

    Attributes:
        rows: in the order of their records.
        source: where they were read, for the manifest.
        max_length: most tokens of a row, its generated answer included; None: the evaluation's limit, which bounds
            the row alone.
        whole: no row is ever cut, one that is longer than the model's context being an error; and texts are not
            prompted with their first tokens.
        generate: whether the model answers the prompts.
        max_new_tokens: longest generated answer; None: the longest reference answer of the set.
        stops: a generated answer ends before the first of these texts, one after the other.
        lowercase: score the lower-cased answers, too.
        reference_tokens: the reference ends after so many tokens, special ones in front included; None: whole.
    """

    rows: Sequence[Row]
    source: str | None = None
    max_length: int | None = None
    whole: bool = False
    generate: bool = True
    max_new_tokens: int | None = None
    stops: tuple[str, ...] = ()
    lowercase: bool = False
    reference_tokens: int | None = None
