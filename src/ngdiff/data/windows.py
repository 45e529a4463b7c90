"""Long answers in windows that a model can see whole.

An answer is learned, and forgotten, from its first token to its last: where prompt and answer are longer than the
longest row they become several rows. The first is the row as far as it fits, with its prompt. Each later one goes on
where the one before ended, with what came before that as context, for which nothing is learned. Texts, which have no
prompt, become pieces (`ngdiff.data.pieces`).
"""

from typing import NamedTuple

from ngdiff.data.pieces import pieces


class Window(NamedTuple):
    """Tokens `start` to `stop` of a row, of which those from `learned` on may be labels."""

    start: int
    learned: int
    stop: int


def windows(length: int, size: int) -> list[Window]:
    """The windows of a row of `length` tokens, none longer than `size`, which is at least 2.

    The first has `size` tokens. In each later one half of `size` is context, and the tokens to learn are shared out
    equally, but for one token: a last window of three would weigh as much as any other in an objective over rows.

    >>> [tuple(window) for window in windows(11, 6)]
    [(0, 0, 6), (3, 6, 8), (5, 8, 11)]
    >>> windows(6, 6)
    [Window(start=0, learned=0, stop=6)]
    """
    first = Window(0, 0, min(length, size))
    if length <= size:
        return [first]
    context = size // 2
    later = pieces(range(size, length), size - context)
    return [first, *(Window(own[0] - context, own[0], own[-1] + 1) for own in later)]
