"""PCGrad: if the two gradients conflict, the conflicting component is projected away."""

from ngdiff.core.gramian import Gramian
from ngdiff.weighting.base import Losses, Weights


def pcgrad(losses: Losses, gramian: Gramian) -> Weights:
    """`c/(1-c) = 1 - s/a` where `s < 0`, else 1; `w = (c, 1-c)`.

    The forget gradient is projected off the retain gradient, `g_f - (s/a) g_r`, and the retain gradient is added.
    One-sided: then `g_r . d = (1-c) a >= 0`, so that the retain loss does not rise to first order, while the forget
    loss may: `g_f . d = (1-c) (b + s - s^2/a)`.

    Source: NGDiff (arXiv 2410.22086), list of weightings, item 6. The paper prints no condition; without one,
    gradients that agree would be projected, too, and `c` leave [0, 1]. We project where they conflict, as PCGrad does
    (Yu et al. 2020).

    Example:
        >>> pcgrad(Losses(0.1, -3.0), Gramian(a=1.0, s=-2.0, b=9.0))
        Weights(retain=0.75, forget=0.25)
        >>> pcgrad(Losses(0.1, -3.0), Gramian(a=1.0, s=2.0, b=9.0))
        Weights(retain=0.5, forget=0.5)
    """
    if gramian.s >= 0.0:
        return Weights(0.5, 0.5)
    largest = max(gramian.a, -gramian.s)  # scaled by it, neither the sums nor the quotient can overflow
    a, conflict = gramian.a / largest, -gramian.s / largest
    return Weights((a + conflict) / (2.0 * a + conflict), a / (2.0 * a + conflict))


def pcgrad_symmetric(losses: Losses, gramian: Gramian) -> Weights:
    """`w = (1 - min(s, 0)/a, 1 - min(s, 0)/b)`: the sum of both gradients, each projected off the other.

    Then `g_r . d = a - s^2/b >= 0` and `g_f . d = b - s^2/a >= 0` where `s < 0` (Cauchy-Schwarz): neither loss rises
    to first order. With two tasks the random order of the original makes no difference.

    Source: Yu et al. 2020 (arXiv 2001.06782), Algorithm 1, for two tasks.

    Example:
        >>> pcgrad_symmetric(Losses(0.1, -3.0), Gramian(a=1.0, s=-2.0, b=8.0))
        Weights(retain=3.0, forget=1.25)
    """
    conflict = max(-gramian.s, 0.0)
    return Weights(1.0 + conflict / gramian.a, 1.0 + conflict / gramian.b)
