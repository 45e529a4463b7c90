"""Random weights of rows, from which intervals and noise come, in blocks that fit into memory."""

from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

DRAWS = 2000
_BLOCK = 2_000_000  # numbers held in memory at a time

Array = NDArray[np.float64]
Seed = int | Sequence[int]


def dirichlet(n: int, draws: int, rng: np.random.Generator) -> Array:
    """Random weights of n values, shape (draws, n): uniform over all non-negative weights that sum to 1."""
    drawn = rng.standard_exponential((draws, n))
    drawn /= drawn.sum(axis=1, keepdims=True)
    return drawn


def blocks(draws: int, width: int) -> Iterator[slice]:
    """Which draws to take at a time, of `width` numbers each.

    >>> list(blocks(5, 1_000_000))
    [slice(0, 2, None), slice(2, 4, None), slice(4, 5, None)]
    """
    step = max(1, _BLOCK // max(1, width))
    for start in range(0, draws, step):
        yield slice(start, min(start + step, draws))
