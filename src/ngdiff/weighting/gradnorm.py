"""GradNorm: weights that are learnt, so that the side that is behind gets the longer gradient."""

import math
from typing import Any

from ngdiff.core.gramian import Gramian
from ngdiff.errors import InputError
from ngdiff.weighting.base import Losses, Weights

# In nats. A natural loss below this counts as this: the rate at which a loss trains is a quotient of two of them.
_SMALLEST_LOSS = 1e-8


def gradnorm(
    losses: Losses, gramian: Gramian, *, state: dict[str, Any], alpha: float = 1.5, lr: float = 0.025
) -> Weights:
    """`w` follows the gradient of `sum_i |w_i |g_i| - G r_i^alpha|` with `G = mean_j w_j |g_j|` held constant.

    The step takes the weights as they stand, (1, 1) at first. Then `w_i <- max(w_i - lr sign(w_i |g_i| - G r_i^alpha)
    |g_i|, 0)`, and both are scaled to sum 2. A weight of 0 comes back in a later step, because its gradient is then
    too short. If both would fall to 0 (possible where `alpha` is not 1) they stay as they are.

    `r_i` is how far side `i` is behind: `r_i = q_i / mean(q)` with `q_i` the part of the way that is left. Of a
    natural loss `L` that is minimised, `q = L(t)/L(0)`, as in GradNorm. Of one that is maximised (the forget
    cross-entropy, whose minimised loss is `-L`) it is the inverse, `q = L(0)/L(t)`: it falls, too, while the side
    makes progress. The quotient taken as printed would rise with progress, and forgetting would get more weight the
    more was forgotten. A loss counts as maximised if the minimised loss of the first step is negative, for the forget
    side also if it is 0. Natural losses below 1e-8 nats, negative ones included, count as 1e-8, so that no quotient
    is by 0.

    Not scale-free: as in the original, the step of `w` is as long as the gradients. The printed L1 norm of gradient
    vectors is no function of the Gramian; this is the form of Chen et al. in norms.

    Args:
        state: `{"initial": [l_r, l_f], "weights": [w_r, w_f]}`, written here; plain numbers that JSON keeps exactly.
        alpha: How strongly the side behind is favoured, at least 0.
        lr: Learning rate of the weights, above 0.

    Source: Chen et al. 2018 (arXiv 1711.02257), Algorithm 1; NGDiff (arXiv 2410.22086), Appendix A, Algorithm 3.

    Raises:
        InputError: `alpha` or `lr` out of range.

    Example:
        >>> state = {}
        >>> k = Gramian(a=4.0, s=0.0, b=1.0)
        >>> gradnorm(Losses(1.0, -1.0), k, state=state, lr=0.1)
        Weights(retain=1.0, forget=1.0)
        >>> w = gradnorm(Losses(1.0, -1.0), k, state=state, lr=0.1)  # the longer gradient now weighs less
        >>> round(w.retain, 4), round(w.forget, 4)
        (0.8421, 1.1579)
    """
    if not alpha >= 0.0:
        raise InputError(f"alpha = {alpha} is below 0: gradnorm would favour the side that is ahead")
    if not lr > 0.0:
        raise InputError(f"lr = {lr} is not above 0: the weights of gradnorm would never move")
    initial = state.setdefault("initial", [losses.retain, losses.forget])
    w_r, w_f = state.setdefault("weights", [1.0, 1.0])

    behind_r, behind_f = _behind(losses, Losses(*initial))
    length_r, length_f = w_r * gramian.norm_r, w_f * gramian.norm_f
    mean = length_r / 2.0 + length_f / 2.0
    next_r = max(w_r - lr * _sign(length_r - mean * behind_r**alpha) * gramian.norm_r, 0.0)
    next_f = max(w_f - lr * _sign(length_f - mean * behind_f**alpha) * gramian.norm_f, 0.0)
    largest = max(next_r, next_f)
    if largest > 0.0:
        next_r, next_f = next_r / largest, next_f / largest
        state["weights"] = [2.0 * next_r / (next_r + next_f), 2.0 * next_f / (next_r + next_f)]
    return Weights(w_r, w_f)


def _behind(now: Losses, initial: Losses) -> tuple[float, float]:
    """`(r_r, r_f)`, in [0, 2] with sum 2."""
    left_r = _log_way_left(now.retain, initial.retain, maximised=initial.retain < 0.0)
    left_f = _log_way_left(now.forget, initial.forget, maximised=initial.forget <= 0.0)
    # q_r / mean(q) from logarithms: the quotient of two quotients may overflow, its logarithm may not.
    ahead = math.exp(-abs(left_r - left_f))
    larger, smaller = 2.0 / (1.0 + ahead), 2.0 * ahead / (1.0 + ahead)
    return (larger, smaller) if left_r >= left_f else (smaller, larger)


def _log_way_left(now: float, initial: float, *, maximised: bool) -> float:
    """Logarithm of the part of the way that is left, from the minimised loss now and in the first step."""
    sign = -1.0 if maximised else 1.0
    change = math.log(max(sign * now, _SMALLEST_LOSS)) - math.log(max(sign * initial, _SMALLEST_LOSS))
    return sign * change


def _sign(x: float) -> float:
    return math.copysign(1.0, x) if x else 0.0
