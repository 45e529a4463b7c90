"""The combined gradient `w_r g_r + w_f g_f`, built in place."""

import torch
from torch import Tensor

from ngdiff.core.inner_products import Gradient
from ngdiff.core.shards import local

# A weight outside this range would overflow or lose digits as an fp32 factor: it is applied in several factors.
_SAFE = (2.0**-100, 2.0**100)


@torch.no_grad()
def combine(g_r: Gradient, g_f: Gradient, w_r: float, w_f: float) -> list[Tensor | None]:
    """`w_r g_r + w_f g_f`, reusing the buffers of `g_r` (of `g_f` where `g_r` has none or was stashed).

    No buffer is allocated, but for one tensor at a time where a side was stashed on the host. Both inputs may be
    overwritten: do not read them afterwards.

    Args:
        g_r: Retain gradient, one tensor or None per parameter.
        g_f: Forget gradient of the *minimised* forget loss, same order. One of the two may be stashed, in lower
            precision or on the host.
        w_r: Weight of the retain gradient, finite. A side whose weight is 0 is left out altogether.
        w_f: Weight of the forget gradient, finite.

    Example:
        >>> combine([torch.tensor([1.0, 2.0])], [torch.tensor([10.0, 0.0])], 2.0, 0.5)
        [tensor([7., 4.])]
    """
    return [_combine_pair(r, f, w_r, w_f) for r, f in zip(g_r, g_f, strict=True)]


def _combine_pair(r: Tensor | None, f: Tensor | None, w_r: float, w_f: float) -> Tensor | None:
    if r is None or (f is not None and _is_stashed(r, beside=f)):
        r, f, w_r, w_f = f, r, w_f, w_r
    if r is None:
        return None
    into = local(r)
    if f is None or w_f == 0.0:
        scale_(into, w_r)
        return r
    other = local(f).to(into.device)
    if _is_safe(w_r) and _is_safe(w_f) and _are_alike(into, other):
        _sum_in_one_pass(into, other, w_r, w_f)
        return r
    scale_(into, w_r)
    if _is_safe(w_f):
        into.add_(other, alpha=w_f)
    else:
        other = other.to(into.dtype)
        scale_(other, w_f)
        into.add_(other)
    return r


def _is_safe(weight: float) -> bool:
    return _SAFE[0] < abs(weight) < _SAFE[1]


def _are_alike(into: Tensor, other: Tensor) -> bool:
    """Whether one `addr` can sum them; in half precision it would round the weights as well."""
    wide = into.dtype == other.dtype and into.dtype in (torch.float32, torch.float64)
    return wide and into.is_contiguous() and other.is_contiguous()


def _sum_in_one_pass(into: Tensor, other: Tensor, w_r: float, w_f: float) -> None:
    """`into = w_r into + w_f other`; `mul_` and `add_` would read and write the memory twice."""
    column = into.view(-1, 1)
    torch.addr(column, other.view(-1), other.new_ones(1), beta=w_r, alpha=w_f, out=column)


def _is_stashed(gradient: Tensor, *, beside: Tensor) -> bool:
    """Whether this gradient has lower precision than the other, or is on the host while the other is not."""
    moved = gradient.device.type == "cpu" != beside.device.type
    return moved or gradient.dtype.itemsize < beside.dtype.itemsize


def scale_(tensor: Tensor, weight: float) -> None:
    """Multiply in place. By 0, entries that are not finite become 0, too: a side of weight 0 has no effect."""
    if weight == 0.0:
        tensor.zero_()
        return
    for factor in _factors(weight):
        tensor.mul_(factor)


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
