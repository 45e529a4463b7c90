"""Evaluation sets: rows under one name, with the settings of their evaluation."""

from collections.abc import Sequence
from dataclasses import dataclass

from ngdiff.data.rows import Row


@dataclass(frozen=True)
class EvaluationSet:
    """Rows and the settings of their evaluation. The defaults are for a user's own rows.

    Attributes:
        rows: In the order of their records.
        source: Their source, for the manifest.
        max_length: Maximum number of tokens of a row including its generated answer; None: the limit of the evaluation,
            which does not include the generated answer.
        whole: Rows are never cut, and a row longer than the model's context is an error; texts are not prompted with
            their first tokens.
        generate: Whether the model answers the prompts.
        max_new_tokens: Longest generated answer; None: the length of the longest reference answer of the set.
        stops: A generated answer is cut before each of these texts, in order.
        lowercase: Whether the lower-cased answers are also scored.
        reference_tokens: The reference is cut after this many tokens, including leading special tokens; None: complete.
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
