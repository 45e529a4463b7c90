"""GRU: the forget gradient without its component against the retain gradient."""

from ngdiff.core.gramian import Gramian
from ngdiff.weighting.base import Losses, Weights


def gru(losses: Losses, gramian: Gramian) -> Weights:
    """`w = (max(0, -s/a), 1)`: the forget gradient, projected off the retain gradient if they conflict.

    The step follows `d = g_f - min(s, 0)/a g_r`, the direction closest to `g_f` that does not raise the retain loss to
    first order: `g_r . d = max(s, 0)`. Nor does it raise the forget objective: `g_f . d = b - min(s, 0)^2/a >= 0`. If
    the gradients do not conflict, the retain gradient has no influence; `pcgrad` adds it to the same projection. To
    first order the retain loss does not change along `d` and cannot determine a step size, so AutoLR runs as printed,
    without a search.

    The retain gradient is that of the current batch. The paper projects off an exponential moving average of retain
    gradients, `gamma g_r + (1 - gamma)` times the previous average, with `gamma` .8 to .95 or without an average, to
    reduce the noise of a batch; here `gamma` is 1. An average would be a third gradient in memory and in every
    checkpoint, and not a function of the Gramian; larger batches have the same effect.

    Source: Wang et al. 2025 (GRU, ICML; arXiv 2503.09117).

    Example:
        >>> gru(Losses(0.1, -3.0), Gramian(a=4.0, s=-1.0, b=2.0))
        Weights(retain=0.25, forget=1.0)
        >>> gru(Losses(0.1, -3.0), Gramian(a=4.0, s=1.0, b=2.0))
        Weights(retain=0.0, forget=1.0)
    """
    return Weights(max(-gramian.s, 0.0) / gramian.a, 1.0)
