"""Long texts in pieces that a model can see whole.

A text is learned, and measured, from its first token to its last: where it is longer than the longest row it becomes
several rows, each with the tokenizer's begin token in front, as MUSE's chunks have it (`ngdiff.data.corpus`). Of rows
with a prompt training makes windows (`ngdiff.data.windows`).
"""

from collections.abc import Sequence
from itertools import pairwise

from ngdiff.data.rows import Row
from ngdiff.data.template import UNTEMPLATED, Template


def is_text(row: Row, template: Template) -> bool:
    """Whether nothing comes before the answer: a text as such, or the completion of a prompt without a letter.

    >>> is_text(Row("", "Orla lives in Tarnholm.", kind="text"), Template("plain"))
    True
    """
    if row.kind == "completion":
        return template.verbatim_completions and not row.prompt.strip()
    return row.kind == "text" or (row.kind in UNTEMPLATED and row.prompt == "")


def chunks(ids: Sequence[int], size: int, overlap: int) -> list[tuple[list[int], list[int]]]:
    """`pieces` of at most `size - overlap` tokens, each behind the last `overlap` of those before it.

    Every token is in one piece: what is shown as context is neither learned nor counted twice.

    Args:
        ids: tokens of a text.
        size: most tokens of a piece with its context, at least 1.
        overlap: of the context; more than half of `size` count as half.

    >>> chunks(range(7), 4, 1)
    [([], [0, 1]), ([1], [2, 3]), ([3], [4, 5, 6])]
    """
    overlap = min(overlap, size // 2)
    if len(ids) <= size:
        return [([], list(ids))]
    found, begin = [], 0
    for piece in pieces(ids, size - overlap):
        found.append((list(ids[max(begin - overlap, 0) : begin]), piece))
        begin += len(piece)
    return found


def pieces(ids: Sequence[int], size: int) -> list[list[int]]:
    """`ids` in order, in as few pieces of at most `size` as hold them, of equal length but for one token.

    Equal lengths, because what a model knows of a last piece of three tokens says nothing.

    >>> pieces(range(10), 4)
    [[0, 1, 2], [3, 4, 5], [6, 7, 8, 9]]
    """
    count = max(-(-len(ids) // size), 1)
    ends = [len(ids) * k // count for k in range(count + 1)]
    return [list(ids[start:end]) for start, end in pairwise(ends)]
