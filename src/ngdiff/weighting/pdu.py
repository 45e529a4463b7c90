"""PDU: forgetting under a bound on the retain loss, with a learned Lagrange multiplier."""

from typing import Any

from ngdiff.core.gramian import Gramian
from ngdiff.errors import InputError
from ngdiff.weighting.base import Losses, Weights

# Default distance of the bound above the first value of the retain objective, in the unit of that objective.
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
    """`w = (lambda, 1)`, the gradient of the Lagrangian `l_f + lambda (l_r - epsilon)`, with dual ascent on `lambda`.

    Solves the constrained problem `min l_f` subject to `l_r <= epsilon` by primal and dual steps. A step uses the
    current `lambda`, `start` at first; then `lambda <- max(0, lambda + lr (l_r - epsilon))`: it rises while the retain
    loss is above the bound and falls while it is below. At 0 the step is that of `ga`.

    Args:
        state: `{"epsilon": ..., "dual": lambda}`, updated here; JSON stores these numbers exactly.
        epsilon: Bound of the retain objective. None: its value in the first step plus .3, which for a model that
            recites the retain rows is the .3 of the paper's runs on TOFU; the authors advise a bound above the loss
            before.
        lr: Learning rate of `lambda`, above 0.
        start: `lambda` of the first step, at least 0.

    The paper's forget objective is the squared distance of the largest logit from the mean, a large number, and its
    `lambda` starts at 50 or 100 and is fixed for some passes. Here the forget objective is arbitrary, so `lambda`
    starts at 1 and changes from the first step on.

    Source: Entesari et al. 2025 (Constrained Entropic Unlearning; arXiv 2506.05314); its code in open-unlearning, which
    can also update `lambda` once per pass.

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
        raise InputError(f"lr = {lr} is not above 0: the dual variable of pdu would never change")
    if not start >= 0.0:
        raise InputError(f"start = {start} is below 0: pdu would raise the retain loss")
    bound = state.setdefault("epsilon", losses.retain + _SLACK if epsilon is None else epsilon)
    dual = state.setdefault("dual", start)
    state["dual"] = max(0.0, dual + lr * (losses.retain - bound))
    return Weights(dual, 1.0)
