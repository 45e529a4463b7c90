"""Area under the ROC curve of a membership score, exactly, and its confidence interval."""

import math
from collections.abc import Sequence

import numpy as np
from scipy.optimize import brentq
from scipy.special import ndtri

from ngdiff.errors import InputError


def auc(members: Sequence[float], others: Sequence[float]) -> float:
    """`P(member < other) + P(member = other) / 2` over all pairs: 1 when every member has a lower value.

    Lower is more like a member, as a loss is. Pairs are counted in integers, so the value is the correctly
    rounded one. Infinite values are ordered as any other.

    Raises:
        InputError: one side is empty, or a value is NaN.

    >>> auc([1.0, 2.0], [2.0, 3.0])
    0.875
    """
    low, high = np.asarray(members, dtype=float), np.asarray(others, dtype=float)
    for name, values in (("members", low), ("others", high)):
        if not values.size:
            raise InputError(f"an AUC needs values of both sides, found no {name}")
        if np.isnan(values).any():
            raise InputError(f"an AUC needs numbers; value {int(np.isnan(values).argmax())} of the {name} is NaN")
    high.sort()
    not_above = np.searchsorted(high, low, side="right")
    below = np.searchsorted(high, low, side="left")
    wins, ties = int((high.size - not_above).sum()), int((not_above - below).sum())
    return (2 * wins + ties) / (2 * low.size * high.size)


def auc_variance(area: float, n_members: int, n_others: int) -> float:
    """Variance of an estimated AUC whose true value is `area`.

    `V = A (1 - A) [1 + N (1 - A) / (2 - A) + N A / (1 + A)] / (m n)`, `N = (m + n) / 2 - 1`: Hanley and McNeil
    1982 with the sides' sizes replaced by their mean, so that exchanging the sides changes nothing (Newcombe 2006).

    >>> auc_variance(0.5, 10, 10)
    0.0175
    """
    size = (n_members + n_others) / 2 - 1
    spread = 1 + size * (1 - area) / (2 - area) + size * area / (1 + area)
    return area * (1 - area) * spread / (n_members * n_others)


def auc_interval(area: float, n_members: int, n_others: int, *, confidence: float = 0.95) -> tuple[float, float]:
    """The values A that a test at this level would not reject: `(area - A)^2 <= z^2 V(A)`.

    Method 5 of Newcombe 2006 (Statistics in Medicine 25, 559-573). The variance is taken at A instead of at the
    estimate. The intervals of DeLong and of Hanley and McNeil shrink to a point when the sides do not overlap,
    which is what a model before unlearning shows; this one keeps its width and stays within [0, 1].

    Args:
        area: an estimated AUC in [0, 1].
        n_members, n_others: sizes of the two samples.
        confidence: level in (0, 1).

    Raises:
        InputError: a level or an area out of range.

    >>> low, high = auc_interval(1.0, 20, 20)
    >>> round(low, 3), high
    (0.899, 1.0)
    """
    check_confidence(confidence)
    if not 0 <= area <= 1:
        raise InputError(f"an AUC lies in [0, 1], found {area}")
    z = float(ndtri((1 + confidence) / 2))

    def excess(true: float) -> float:
        return (area - true) ** 2 - z * z * auc_variance(true, n_members, n_others)

    # At 0 and at 1 the variance vanishes, and a root may lie there besides the one that is looked for.
    inside = 1e-12
    low = brentq(excess, 0.0, min(area, 1 - inside), xtol=1e-14) if area > inside else 0.0
    high = brentq(excess, max(area, inside), 1.0, xtol=1e-14) if area < 1 - inside else 1.0
    return float(low), float(high)


def check_confidence(confidence: float) -> None:
    """Refuse what is no confidence level.

    Raises:
        InputError: not within (0, 1).
    """
    if not (math.isfinite(confidence) and 0 < confidence < 1):
        raise InputError(f"confidence is {confidence}; a level lies between 0 and 1, such as 0.95")
