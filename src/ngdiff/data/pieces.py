"""Split long texts into pieces that fit into the model's input.

A text is learned and measured completely: if it is longer than the longest row, it is split into several rows, each of
which starts with the tokenizer's begin token, like MUSE's chunks (`ngdiff.data.corpus`). Rows with a prompt are split
into windows (`ngdiff.data.windows`).
"""

from collections.abc import Sequence
from itertools import pairwise

from ngdiff.data.rows import Row
from ngdiff.data.template import UNTEMPLATED, Template


def is_text(row: Row, template: Template) -> bool:
    """Whether the answer has no prompt: a raw text, or the completion of an empty prompt.

    >>> is_text(Row("", "Orla lives in Tarnholm.", kind="text"), Template("plain"))
    True
    """
    if row.kind == "completion":
        return template.verbatim_completions and not row.prompt.strip()
    return row.kind == "text" or (row.kind in UNTEMPLATED and row.prompt == "")


def chunks(ids: Sequence[int], size: int, overlap: int) -> list[tuple[list[int], list[int]]]:
    """`pieces` of at most `size - overlap` tokens, each with the preceding `overlap` tokens as context.

    Every token is in exactly one piece: context is neither learned nor counted again.

    Args:
        ids: Tokens of a text.
        size: Maximum number of tokens of a piece with its context, at least 1.
        overlap: Tokens of the context, limited to half of `size`.

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
    """`ids` split into as few pieces of at most `size` as possible, whose lengths differ by at most one token.

    Equal lengths, because the loss of a last piece of, say, three tokens would be meaningless.

    >>> pieces(range(10), 4)
    [[0, 1, 2], [3, 4, 5], [6, 7, 8, 9]]
    """
    count = max(-(-len(ids) // size), 1)
    ends = [len(ids) * k // count for k in range(count + 1)]
    return [list(ids[start:end]) for start, end in pairwise(ends)]
