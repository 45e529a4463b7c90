"""The three inner products of two gradients: all that a weighting ever sees.

`ngdiff.core.inner_products` computes them.
"""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Gramian:
    """`K = [[a, s], [s, b]]` of the retain gradient `g_r` and the forget gradient `g_f` of the minimised losses.

    `a = |g_r|^2`, `b = |g_f|^2`, `s = g_r . g_f`, as Python floats (double precision), so that no square of a
    gradient that fits in fp32 overflows here.

    Example:
        >>> k = Gramian(a=4.0, s=-1.0, b=9.0)
        >>> k.norm_r, k.norm_f, round(k.cosine, 4)
        (2.0, 3.0, -0.1667)
    """

    a: float
    s: float
    b: float

    @property
    def norm_r(self) -> float:
        """`|g_r|`."""
        return math.sqrt(self.a)

    @property
    def norm_f(self) -> float:
        """`|g_f|`."""
        return math.sqrt(self.b)

    @property
    def cosine(self) -> float:
        """Cosine of the angle between the two gradients, within [-1, 1]; 0 where one of them vanishes."""
        product = self.norm_r * self.norm_f
        if product == 0.0:
            return 0.0
        return max(-1.0, min(1.0, self.s / product))

    def norm_of(self, w_r: float, w_f: float) -> float:
        """`|w_r g_r + w_f g_f|`; where both nearly cancel each other, exact to 1e-3 of either in fp32.

        Example:
            >>> Gramian(a=9.0, s=0.0, b=16.0).norm_of(1.0, -1.0)
            5.0
        """
        square = w_r * (w_r * self.a + w_f * self.s) + w_f * (w_r * self.s + w_f * self.b)
        return math.sqrt(max(square, 0.0))

    @property
    def is_finite(self) -> bool:
        """Whether all three products are finite numbers."""
        return math.isfinite(self.a) and math.isfinite(self.b) and math.isfinite(self.s)
