"""Gradient descent on the retain set alone: forgetting by continued training without the forget set."""

from ngdiff.core.gramian import Gramian
from ngdiff.weighting.base import Losses, Weights


def gd(losses: Losses, gramian: Gramian) -> Weights:
    """`w = (1, 0)`: `gdiff` with c = 1 (paper Eq. 2).

    Example:
        >>> gd(Losses(0.1, -3.0), Gramian(a=4.0, s=1.0, b=0.25))
        Weights(retain=1.0, forget=0.0)
    """
    return Weights(1.0, 0.0)
