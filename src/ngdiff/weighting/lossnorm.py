"""LossNorm: weights inversely proportional to the losses."""

from ngdiff.core.gramian import Gramian
from ngdiff.weighting.base import Losses, Weights


def lossnorm(losses: Losses, gramian: Gramian) -> Weights:
    """`w = (|l_f|, |l_r|) / (|l_r| + |l_f|)`: `(1/|l_r|, 1/|l_f|)` scaled to sum 1.

    This form does not divide by a single loss. A side with a loss of exactly 0 gets all the weight, which is the limit;
    if both losses are 0, the weights are equal, as for any two equal losses.

    Source: NGDiff (arXiv 2410.22086), list of weightings, item 4, where `c/(1-c) = |L_F|/|L_R|`.

    Example:
        >>> lossnorm(Losses(1.0, -3.0), Gramian(a=4.0, s=1.0, b=0.25))
        Weights(retain=0.75, forget=0.25)
        >>> lossnorm(Losses(0.0, -3.0), Gramian(a=4.0, s=1.0, b=0.25))
        Weights(retain=1.0, forget=0.0)
    """
    largest = max(abs(losses.retain), abs(losses.forget))
    if largest == 0.0:
        return Weights(0.5, 0.5)
    retain, forget = abs(losses.retain) / largest, abs(losses.forget) / largest
    return Weights(forget / (retain + forget), retain / (retain + forget))
