"""Gradient ascent on the forget set alone."""

from ngdiff.core.gramian import Gramian
from ngdiff.weighting.base import Losses, Weights


def ga(losses: Losses, gramian: Gramian) -> Weights:
    """`w = (0, 1)`: `gdiff` with c = 0 (paper Eq. 2; Jang et al. 2023).

    Example:
        >>> ga(Losses(0.1, -3.0), Gramian(a=4.0, s=1.0, b=0.25))
        Weights(retain=0.0, forget=1.0)
    """
    return Weights(0.0, 1.0)
