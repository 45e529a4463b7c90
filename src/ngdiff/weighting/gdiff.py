"""GDiff: a fixed mixture of the two gradients (paper Eq. 2)."""

from ngdiff.core.gramian import Gramian
from ngdiff.errors import InputError
from ngdiff.weighting.base import Losses, Weights


def gdiff(losses: Losses, gramian: Gramian, *, c: float = 0.5) -> Weights:
    """`w = (c, 1 - c)` with `c` in [0, 1].

    Source: NGDiff (arXiv 2410.22086), Eq. 2, extending gradient difference (Liu et al. 2022), which is c = 0.5.

    Raises:
        InputError: `c` outside [0, 1], where Theorem 3 of the paper does not hold.

    Example:
        >>> gdiff(Losses(0.1, -3.0), Gramian(a=4.0, s=1.0, b=0.25), c=0.75)
        Weights(retain=0.75, forget=0.25)
    """
    if not 0.0 <= c <= 1.0:
        raise InputError(f"c = {c} is not in [0, 1]: gdiff weighs the retain gradient with c, the forget with 1 - c")
    return Weights(c, 1.0 - c)
