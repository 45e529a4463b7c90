"""The combined gradient `w_r g_r + w_f g_f`, built in place."""

from collections.abc import Iterable

import torch
from torch import Tensor

from ngdiff.core.gramian import Gradient
from ngdiff.core.shards import local

# A weight outside this range would overflow or lose digits as an fp32 factor: it is applied in several factors.
_SAFE = (2.0**-100, 2.0**100)


@torch.no_grad()
def combine(g_r: Gradient, g_f: Gradient, w_r: float, w_f: float) -> list[Tensor | None]:
    """`w_r g_r + w_f g_f`, reusing the buffers of `g_r` (of `g_f` where `g_r` has none).

    No buffer is allocated. Both inputs are spent afterwards: do not read them again.

    Args:
        g_r: Retain gradient, one tensor or None per parameter.
        g_f: Forget gradient of the *minimised* forget loss, same order.
        w_r: Weight of the retain gradient, finite. A side whose weight is 0 is left out altogether.
        w_f: Weight of the forget gradient, finite.

    Example:
        >>> combine([torch.tensor([1.0, 2.0])], [torch.tensor([10.0, 0.0])], 2.0, 0.5)
        [tensor([7., 4.])]
    """
    _scale_(g_r, w_r)
    combined: list[Tensor | None] = []
    in_one_go = _SAFE[0] < abs(w_f) < _SAFE[1]  # weight and addition in one pass over the memory
    if not in_one_go:
        _scale_(g_f, w_f)
    for r, f in zip(g_r, g_f, strict=True):
        if r is None:
            if in_one_go:
                _scale_([f], w_f)
            combined.append(f)
            continue
        if f is not None and w_f != 0.0:
            local(r).add_(local(f), alpha=w_f if in_one_go else 1.0)
        combined.append(r)
    return combined


def _scale_(gradient: Iterable[Tensor | None], weight: float) -> None:
    present = [local(g) for g in gradient if g is not None]
    if weight == 0.0:  # not a product: 0 * inf would be NaN, and a side of weight 0 must have no say
        for g in present:
            g.zero_()
        return
    for factor in _factors(weight):
        for g in present:
            g.mul_(factor)


def _factors(weight: float) -> list[float]:
    """Factors of safe size whose product is the weight."""
    factors = []
    while abs(weight) >= _SAFE[1]:
        factors.append(_SAFE[1] / 2)
        weight /= _SAFE[1] / 2
    while abs(weight) <= _SAFE[0]:
        factors.append(_SAFE[0] * 2)
        weight /= _SAFE[0] * 2
    return [*factors, weight]
