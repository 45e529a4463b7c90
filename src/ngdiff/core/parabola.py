"""A parabola through three losses on a line (paper Eq. 6 and Algorithm 1, after GeN)."""

import math
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Parabola:
    """The loss `phi` at `-rho`, `0` and `rho` along the step `theta_0 - rho d`, and the parabola through it.

    `phi(x) ~ phi(0) - slope x + curvature x^2 / 2` with
    `slope = (phi(-rho) - phi(rho)) / (2 rho)` and
    `curvature = (phi(rho) - 2 phi(0) + phi(-rho)) / rho^2`; its minimum lies at `slope / curvature`.
    Exact for a quadratic `phi`.

    Args:
        rho: Radius of the probe, in units of the learning rate, positive.
        behind: `phi(-rho)`.
        here: `phi(0)`.
        ahead: `phi(rho)`.

    Example:
        >>> fit = Parabola(rho=0.5, behind=2.25, here=1.0, ahead=0.25)  # (1 - x)^2
        >>> fit.slope, fit.curvature, fit.minimum
        (2.0, 2.0, 1.0)
    """

    rho: float
    behind: float
    here: float
    ahead: float

    @property
    def slope(self) -> float:
        """Rate at which the loss falls at 0 along the step."""
        return self.fall / 2 / self.rho

    @property
    def curvature(self) -> float:
        """Second derivative along the step."""
        return self.bend / self.rho / self.rho

    @property
    def minimum(self) -> float:
        """Where the parabola is lowest; meaningful where `is_bowl`."""
        return self.rho * (self.fall / self.bend / 2)

    @property
    def fall(self) -> float:
        """How much lower the loss is at `rho` than at `-rho`."""
        return self.behind - self.ahead

    @property
    def bend(self) -> float:
        """Second difference of the three losses."""
        return self.behind - 2 * self.here + self.ahead

    @property
    def is_finite(self) -> bool:
        """Whether all three losses, and their differences, are finite."""
        return all(map(math.isfinite, (self.behind, self.here, self.ahead, self.fall, self.bend)))

    @property
    def is_bowl(self) -> bool:
        """Whether the loss falls along the step and curves upwards: only then is there a step to take."""
        return self.fall > 0 and self.bend > 0

    def slope_is_resolved(self, noise: float) -> bool:
        """Whether the difference of two losses exceeds twice the rounding noise of one, an absolute number."""
        return abs(self.fall) > 2 * noise

    def curvature_is_resolved(self, noise: float) -> bool:
        """The same for the curvature's difference, which holds four noisy losses."""
        return abs(self.bend) > 4 * noise

    def is_resolved(self, noise: float) -> bool:
        """Whether both exceed the noise (Remark 3.1)."""
        return self.slope_is_resolved(noise) and self.curvature_is_resolved(noise)
