"""GradNorm: learned weights that give the slower side the larger gradient."""

import math
from typing import Any

from ngdiff.core.gramian import Gramian
from ngdiff.errors import InputError
from ngdiff.weighting.base import Losses, Weights

# In nats. Smaller losses are raised to this: the training rate of a loss is a quotient of two losses.
_SMALLEST_LOSS = 1e-8


def gradnorm(
    losses: Losses, gramian: Gramian, *, state: dict[str, Any], alpha: float = 1.5, lr: float = 0.025
) -> Weights:
    """`w` follows the gradient of `sum_i |w_i |g_i| - G r_i^alpha|` with `G = mean_j w_j |g_j|` held constant.

    The step uses the current weights, (1, 1) at first. Then `w_i <- max(w_i - lr sign(w_i |g_i| - G r_i^alpha)
    |g_i|, 0)`, and both are scaled to sum 2. A weight of 0 recovers in a later step, because its weighted gradient is
    then too short. If both weights would become 0 (possible if `alpha` is not 1), they are left unchanged.

    `r_i` measures how slowly side `i` trains: `r_i = q_i / mean(q)`, with `q_i` its remaining fraction. For a loss `L`
    that is minimised, `q = L(t)/L(0)`, as in GradNorm. For one that is maximised (the forget cross-entropy, whose
    minimised loss is `-L`) it is the inverse, `q = L(0)/L(t)`, which also falls as the side makes progress. The
    quotient as printed would rise with progress: the more was forgotten, the more weight forgetting would get. A loss
    counts as maximised if the minimised loss of the first step is negative, for the forget side also if it is 0. Losses
    below 1e-8 nats, including negative ones, count as 1e-8, which avoids division by 0.

    Not scale-invariant: as in the original, the update of `w` is proportional to the gradients' lengths. The L1 norm
    of gradient vectors in the printed form is not a function of the Gramian; this is the form of Chen et al. in norms.

    Args:
        state: `{"initial": [l_r, l_f], "weights": [w_r, w_f]}`, updated here; JSON stores these numbers exactly.
        alpha: How strongly the slower side is favoured, at least 0.
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
        raise InputError(f"alpha = {alpha} is below 0: gradnorm would favour the faster side")
    if not lr > 0.0:
        raise InputError(f"lr = {lr} is not above 0: the weights of gradnorm would never change")
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
    # q_r / mean(q) from logarithms: the quotient of two quotients may overflow, its logarithm cannot.
    ahead = math.exp(-abs(left_r - left_f))
    larger, smaller = 2.0 / (1.0 + ahead), 2.0 * ahead / (1.0 + ahead)
    return (larger, smaller) if left_r >= left_f else (smaller, larger)


def _log_way_left(now: float, initial: float, *, maximised: bool) -> float:
    """Logarithm of the remaining fraction `q`, from the minimised loss now and in the first step."""
    sign = -1.0 if maximised else 1.0
    change = math.log(max(sign * now, _SMALLEST_LOSS)) - math.log(max(sign * initial, _SMALLEST_LOSS))
    return sign * change


def _sign(x: float) -> float:
    return math.copysign(1.0, x) if x else 0.0
