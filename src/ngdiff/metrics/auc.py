"""Exact area under the ROC curve of a membership score, and its confidence interval."""

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

from ngdiff.errors import InputError
from ngdiff.metrics.draws import DRAWS, Array, Seed, blocks, dirichlet
from ngdiff.metrics.gaffke import Ends


def auc(members: Sequence[float], others: Sequence[float]) -> float:
    """`P(member < other) + P(member = other) / 2` over all pairs: 1 when every member has a lower value.

    Lower values indicate membership, as with a loss. Pairs are counted in integers, so the result is correctly rounded.
    Infinite values are ordered like any others.

    Raises:
        InputError: one side is empty, or a value is NaN.

    >>> auc([1.0, 2.0], [2.0, 3.0])
    0.875
    """
    low, high = _sides(members, others)
    high.sort()
    below, not_above = _places(low, high)
    wins, ties = int((high.size - not_above).sum()), int((not_above - below).sum())
    return (2 * wins + ties) / (2 * low.size * high.size)


def auc_ends(members: Sequence[float], others: Sequence[float], *, seed: Seed = 0, draws: int = DRAWS) -> Ends:
    """Low and high draws of the AUC, with random weights for the values of each side (Dirichlet, all parameters 1).

    `A* = sum_ij w_i v_j ([m_i < o_j] + [m_i = o_j] / 2)`. The smaller side gets one additional, unobserved value: it
    loses against all values of the other side in the low draws and wins against all in the high draws. This extends
    `ngdiff.metrics.gaffke` to pairs. It assumes nothing about the distributions of the scores, so the sides may differ
    in size and spread. Calls with the same sizes and seed use the same weights.

    Raises:
        InputError: as `auc`.
    """
    low, high = _sides(members, others)
    high.sort()
    m, n = low.size, high.size
    more_m, more_n = (1, 0) if m <= n else (0, 1)
    rng = np.random.default_rng(seed)
    found = Ends(np.empty(draws), np.empty(draws))
    for part in blocks(draws, m + n):
        size = part.stop - part.start
        w, v = dirichlet(m + more_m, size, rng)[:, :m], dirichlet(n + more_n, size, rng)[:, :n]
        found.low[part] = weighted_auc(low, high, w, v)
        found.high[part] = found.low[part] + 1 - w.sum(axis=1) * v.sum(axis=1)
    np.clip(found.low, 0.0, 1.0, out=found.low)  # sums of weights are rounded
    np.clip(found.high, 0.0, 1.0, out=found.high)
    return found


def weighted_auc(members: Sequence[float] | Array, others: Sequence[float] | Array, w_bm: Array, v_bn: Array) -> Array:
    """`sum_ij w_i v_j ([m_i < o_j] + [m_i = o_j] / 2)` for each of B draws of weights, shape (B,).

    Args:
        members, others: m and n values.
        w_bm, v_bn: Weights of the members, shape (B, m), and of the others, shape (B, n).

    Raises:
        InputError: as `auc`.

    >>> weighted_auc([1.0, 2.0], [2.0, 3.0], np.array([[0.5, 0.5]]), np.array([[0.5, 0.5]])).tolist()
    [0.875]
    """
    low, high = _sides(members, others)
    order = np.argsort(high, kind="stable")
    below, not_above = _places(low, high[order])
    to = np.concatenate([np.zeros((len(v_bn), 1)), np.cumsum(v_bn[:, order], axis=1)], axis=1)  # of the first j others
    ties = (to[:, not_above] - to[:, below]) / 2 if (below < not_above).any() else 0.0
    found: Array = np.einsum("bm,bm->b", w_bm, to[:, -1:] - to[:, below] - ties)
    return found


def auc_interval(
    members: Sequence[float], others: Sequence[float], *, confidence: float = 0.95, seed: Seed = 0
) -> tuple[float, float]:
    """Interval of the AUC (`auc_ends`).

    Raises:
        InputError: as `auc`, or a confidence level out of range.

    >>> low, high = auc_interval(range(20), range(20, 420))
    >>> 0.82 < low < 0.84, high
    (True, 1.0)
    """
    return auc_ends(members, others, seed=seed).interval(confidence)


def _sides(members: Sequence[float] | Array, others: Sequence[float] | Array) -> tuple[Array, Array]:
    """Both sides, validated, as new arrays."""
    low, high = np.array(members, dtype=float), np.array(others, dtype=float)
    for name, values in (("members", low), ("others", high)):
        if not values.size:
            raise InputError(f"an AUC needs values on both sides, found no {name}")
        if np.isnan(values).any():
            raise InputError(f"an AUC needs numbers; value {int(np.isnan(values).argmax())} of the {name} is NaN")
    return low, high


def _places(low: Array, high: Array) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """For each value of `low`: how many values of the sorted `high` are below it, and how many are not above it."""
    return np.searchsorted(high, low, side="left"), np.searchsorted(high, low, side="right")
