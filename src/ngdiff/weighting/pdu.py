"""PDU: forget as long as the retain loss stays below a bound, whose price is learnt."""

from typing import Any

from ngdiff.core.gramian import Gramian
from ngdiff.errors import InputError
from ngdiff.weighting.base import Losses, Weights

# In the retain objective's unit: how far above its first value the bound lies where none is given.
_SLACK = 0.3


def pdu(
    losses: Losses,
    gramian: Gramian,
    *,
    state: dict[str, Any],
    epsilon: float | None = None,
    lr: float = 1.0,
    start: float = 1.0,
) -> Weights:
    """`w = (lambda, 1)`, the gradient of `l_f + lambda (l_r - epsilon)`, with `lambda` by ascent on the same.

    The constrained problem `min l_f` subject to `l_r <= epsilon` by primal and dual steps. A step takes `lambda` as it
    stands, `start` at first; then `lambda <- max(0, lambda + lr (l_r - epsilon))`: it rises while the retain loss is
    above the bound, falls while it is below, and at 0 the model forgets as `ga` does.

    Args:
        state: `{"epsilon": ..., "dual": lambda}`, written here; plain numbers that JSON keeps exactly.
        epsilon: Bound of the retain objective. None: that of the first step and .3, which for a model that recites the
            retain rows is the .3 of the paper's runs on TOFU; its authors advise to set it above the loss before.
        lr: Learning rate of `lambda`, above 0.
        start: `lambda` of the first step, at least 0.

    Its paper forgets by the squared distance of the largest logit from the mean one, a large number, and begins with
    `lambda` = 50 or 100, held for some passes; here any forget objective does, so that it begins with 1 and moves at
    once.

    Source: Entesari et al. 2025 (Constrained Entropic Unlearning; arXiv 2506.05314); its code in open-unlearning, which
    also has it once a pass.

    Raises:
        InputError: `lr` or `start` out of range.

    Example:
        >>> state, k = {}, Gramian(a=4.0, s=0.0, b=1.0)
        >>> pdu(Losses(0.5, -3.0), k, state=state, epsilon=0.25)
        Weights(retain=1.0, forget=1.0)
        >>> pdu(Losses(0.125, -3.0), k, state=state, epsilon=0.25)  # the retain loss was .25 above the bound
        Weights(retain=1.25, forget=1.0)
    """
    if not lr > 0.0:
        raise InputError(f"lr = {lr} is not above 0: the dual variable of pdu would never move")
    if not start >= 0.0:
        raise InputError(f"start = {start} is below 0: pdu would raise the retain loss")
    bound = state.setdefault("epsilon", losses.retain + _SLACK if epsilon is None else epsilon)
    dual = state.setdefault("dual", start)
    state["dual"] = max(0.0, dual + lr * (losses.retain - bound))
    return Weights(dual, 1.0)
