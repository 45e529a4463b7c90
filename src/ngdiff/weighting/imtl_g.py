"""IMTL-G: the step has equal projections onto both unit gradients."""

from ngdiff.core.gramian import Gramian
from ngdiff.weighting.base import Losses, Weights


def imtl_g(losses: Losses, gramian: Gramian) -> Weights:
    """`w = (|g_f|, |g_r|) / (|g_r| + |g_f|)`.

    For two tasks, the printed `c = g_f . (u_f - u_r) / ((g_f - g_r) . (u_f - u_r))`, `u = g/|g|`, reduces to this,
    because the factor `1 - cos` cancels. This form is also defined for parallel gradients, for which the printed one is
    0/0. The direction is that of NGDiff; the length is `|g_r| |g_f| / (|g_r| + |g_f|)` times that of NGDiff.

    Source: Liu et al. 2021 (Towards Impartial Multi-task Learning, ICLR); NGDiff (arXiv 2410.22086), item 7 of
    its weightings.

    Example:
        >>> imtl_g(Losses(0.1, -3.0), Gramian(a=9.0, s=1.0, b=1.0))
        Weights(retain=0.25, forget=0.75)
    """
    total = gramian.norm_r + gramian.norm_f
    return Weights(gramian.norm_f / total, gramian.norm_r / total)
