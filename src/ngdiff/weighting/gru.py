"""GRU: the forget gradient leads; the retain gradient only takes away what would hurt it."""

from ngdiff.core.gramian import Gramian
from ngdiff.weighting.base import Losses, Weights


def gru(losses: Losses, gramian: Gramian) -> Weights:
    """`w = (max(0, -s/a), 1)`: the forget gradient projected off the retain gradient where they conflict.

    The step follows `d = g_f - min(s, 0)/a g_r`, the direction closest to `g_f` that does not raise the retain loss to
    first order: `g_r . d = max(s, 0)`. Neither does it raise the forget objective: `g_f . d = b - min(s, 0)^2/a >= 0`.
    Where the two agree the retain gradient has no say; `pcgrad` adds it to the same projection. As the retain loss
    stands still along `d` it cannot say how far to go: AutoLR runs as printed, without a search.

    Memoryless. The paper projects off an exponential mean of the retain gradients, `gamma g_r + (1 - gamma)` times the
    last mean, with `gamma` .8 to .95 or none, because one batch says little of the whole retain set; here `gamma` is 1.
    A mean would be a third gradient in memory and in every checkpoint, and no function of the Gramian; larger batches
    serve the same end.

    Source: Wang et al. 2025 (GRU, ICML; arXiv 2503.09117).

    Example:
        >>> gru(Losses(0.1, -3.0), Gramian(a=4.0, s=-1.0, b=2.0))
        Weights(retain=0.25, forget=1.0)
        >>> gru(Losses(0.1, -3.0), Gramian(a=4.0, s=1.0, b=2.0))
        Weights(retain=0.0, forget=1.0)
    """
    return Weights(max(-gramian.s, 0.0) / gramian.a, 1.0)
