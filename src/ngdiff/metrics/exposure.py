"""Exposure of a canary: how far up a model ranks a planted secret among all that could have been planted.

Carlini et al. 2019, "The Secret Sharer" (arXiv 1802.08232), section 4: for a canary `s[r]` with randomness `r` from a
space `R`, ranked by log-perplexity, lowest first,

    exposure(s[r]) = log2 |R| - log2 rank(s[r]).
"""

import math
from collections.abc import Sequence


def exposure(own: float, others: Sequence[float]) -> float:
    """Exposure of a canary, in bits, from 0 (last of all) to `log2 |R|` (first of all).

    A canary that was never trained on has each rank with the same probability, and a mean of some 1.4 bits.

    Args:
        own: Log-perplexity of the canary: the sum of `-log p` over its tokens, in nats.
        others: The same of the others in `R`, or of some that were drawn from it, which then stand for it. Ties count
            half.

    >>> exposure(1.0, [2.0, 3.0, 4.0]), exposure(5.0, [2.0, 3.0, 4.0])
    (2.0, 0.0)
    """
    rank = 1 + sum(other < own for other in others) + sum(other == own for other in others) / 2
    return math.log2(len(others) + 1) - math.log2(rank)
