"""NGDiff: the sum of both gradients, normalised (paper Section 3.2)."""

from ngdiff.core.gramian import Gramian
from ngdiff.weighting.base import Losses, Weights


def ngdiff(losses: Losses, gramian: Gramian) -> Weights:
    """`w = (1/|g_r|, 1/|g_f|)`, so that `d = g_r/|g_r| + g_f/|g_f|`.

    In the paper's signs, `g_R/|g_R| - g_F/|g_F|`. Lemma 4: `g_r . d >= 0` and `g_f . d >= 0` for every pair of
    gradients, so that to first order neither loss rises. `|d| = sqrt(2 + 2 cos)` is at most 2. IMTL-G has the same
    direction, but another length.

    Source: NGDiff (arXiv 2410.22086), Section 3.2 and Lemma 4.

    Example:
        >>> ngdiff(Losses(0.1, -3.0), Gramian(a=4.0, s=1.0, b=0.25))
        Weights(retain=0.5, forget=2.0)
    """
    return Weights(1.0 / gramian.norm_r, 1.0 / gramian.norm_f)
