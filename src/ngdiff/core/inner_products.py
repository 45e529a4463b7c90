"""The Gramian of two gradients, computed.

Shapes: a gradient is a list of tensors, one per parameter, `None` where the parameter got no gradient.
"""

import math
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from itertools import zip_longest

import torch
from torch import Tensor

from ngdiff.core.gramian import Gramian

Gradient = Sequence[Tensor | None]

# Elements per chunk: 64 MiB in fp32, which bounds the upcast copy of a gradient in half precision, or of one stashed on
# the host; on a CPU 1 MiB, which stays in the cache from one product to the next.
_CHUNK = 1 << 24
_CHUNK_ON_CPU = 1 << 18
_asked_chunk: ContextVar[int | None] = ContextVar("asked_chunk", default=None)


@contextmanager
def chunks_of(elements: int) -> Iterator[None]:
    """Within, `gramian` goes over gradients in chunks of this many elements.

    For tensors without values, whose products take a time for each call and none for their size.
    """
    token = _asked_chunk.set(elements)
    try:
        yield
    finally:
        _asked_chunk.reset(token)


def gramian(
    g_r: Gradient,
    g_f: Gradient,
    *,
    reduce: Callable[[Tensor], Tensor] | None = None,
) -> Gramian:
    """Inner products of two gradients, accumulated in fp32 per tensor and in fp64 across tensors.

    One synchronisation with the device. Where fp32 cannot hold the squares (|g| above about 1e19 or below
    about 1e-12) the products are taken again, of gradients scaled to about 1 by powers of two.

    Args:
        g_r: Retain gradient, one tensor per parameter, any floating dtype.
        g_f: Forget gradient, same parameters in the same order. One of the two may be of another dtype or stashed on
            the host; it comes to the other chunk by chunk.
        reduce: Applied to the tensor of the three local sums, shape (3,), fp64; sums them over the ranks that
            hold different shards of the gradients. None where each rank holds the whole gradient.

    Raises:
        ValueError: the two lists differ in length.

    Example:
        >>> gramian([torch.tensor([3.0, 4.0])], [torch.tensor([1.0, 0.0])])
        Gramian(a=25.0, s=3.0, b=1.0)
    """
    if len(g_r) != len(g_f):
        raise ValueError(f"g_r has {len(g_r)} tensors and g_f {len(g_f)}; both need one per parameter")
    a, s, b = _sums(g_r, g_f, 1.0, 1.0, reduce)
    if _well_scaled(a) and _well_scaled(b) and math.isfinite(s):
        return Gramian(a, s, b)
    size_r, size_f = _size(a, g_r), _size(b, g_f)
    if reduce is not None:  # shards need one common scale; a sum of sizes is as good as one
        size_r, size_f = reduce(torch.tensor([size_r, size_f, 0.0], dtype=torch.float64)).tolist()[:2]
    if not (math.isfinite(size_r) and math.isfinite(size_f)):
        return Gramian(a, s, b)  # a non-finite gradient: the caller refuses it
    scale_r, scale_f = _scale(size_r), _scale(size_f)
    a, s, b = _sums(g_r, g_f, 1.0 / scale_r, 1.0 / scale_f, reduce)
    return Gramian(a * scale_r**2, s * scale_r * scale_f, b * scale_f**2)


def _scale(size: float) -> float:
    """The power of four nearest to a size, by which numbers are divided without rounding; 1 where there is none."""
    return 4.0 ** round(math.log(size, 4.0)) if 0.0 < size < math.inf else 1.0


def _well_scaled(square: float) -> bool:
    """Whether a sum of squares is far from both ends of fp32, where partial squares overflow or vanish."""
    return math.isfinite(square) and square > 1e-24


def _size(square: float, gradient: Gradient) -> float:
    """Roughly what to divide a gradient by so that its square is near 1; 1 where it is well scaled already.

    The root of the square serves, even if part of it has underflowed; the largest entry where it is 0 or infinite.
    """
    if _well_scaled(square):
        return 1.0
    return math.sqrt(square) if 0.0 < square < math.inf else _largest(gradient)


def _largest(gradient: Gradient) -> float:
    present = [g for g in gradient if g is not None and g.numel()]
    if not present:
        return 0.0
    return float(_on_host([torch.linalg.vector_norm(g, math.inf) for g in present]).max())


def _sums(
    g_r: Gradient,
    g_f: Gradient,
    scale_r: float,
    scale_f: float,
    reduce: Callable[[Tensor], Tensor] | None,
) -> tuple[float, float, float]:
    """(a, s, b) of the scaled gradients: fp32 products, fp64 sums over chunks and tensors, one transfer."""
    a: list[Tensor] = []
    s: list[Tensor] = []
    b: list[Tensor] = []
    for r, f in zip(g_r, g_f, strict=True):
        place = common_device(r, f)
        for x, y in zip_longest(_chunks(r, place), _chunks(f, place)):
            x, y = _upcast(x, place, scale_r), _upcast(y, place, scale_f)
            if x is not None:
                a.append(torch.dot(x, x))
            if y is not None:
                b.append(torch.dot(y, y))
            if x is not None and y is not None:
                s.append(torch.dot(x, y))
    # fp64 on the host: some accelerators have none.
    host = _on_host([*a, *s, *b])
    total = torch.stack([part.sum() for part in host.split([len(a), len(s), len(b)])])
    if reduce is not None:
        total = reduce(total)
    product_r, product_s, product_f = total.tolist()
    return product_r, product_s, product_f


def common_device(r: Tensor | None, f: Tensor | None) -> torch.device:
    """Where two gradients of a parameter are multiplied: on the accelerator, if one of them is there."""
    places = [g.device for g in (r, f) if g is not None] or [torch.device("cpu")]
    return next((place for place in places if place.type != "cpu"), places[0])


def _on_host(scalars: Sequence[Tensor]) -> Tensor:
    """All as one fp64 tensor on the host; one transfer if they are on one device."""
    if len({scalar.device for scalar in scalars}) > 1:
        scalars = [scalar.cpu() for scalar in scalars]
    return torch.stack(list(scalars)).cpu().double() if scalars else torch.zeros(0, dtype=torch.float64)


def _chunks(gradient: Tensor | None, place: torch.device) -> Sequence[Tensor]:
    """The gradient, flat, in chunks of a size that suits the device."""
    if gradient is None:
        return ()
    size = _asked_chunk.get() or (_CHUNK_ON_CPU if place.type == "cpu" else _CHUNK)
    flat = gradient.detach().reshape(-1)
    return flat.split(size) if flat.numel() > size else (flat,)


def _upcast(x: Tensor | None, place: torch.device, scale: float) -> Tensor | None:
    """The chunk in at least fp32, on the device, scaled. fp64 gradients stay fp64."""
    if x is None:
        return None
    wide = x.to(place, x.dtype if x.dtype == torch.float64 else torch.float32)
    if scale == 1.0 or 2.0**-100 < scale < 2.0**100:
        return wide if scale == 1.0 else wide.mul(scale)
    # In two factors: the scale that the smallest fp32 numbers need is itself beyond fp32.
    return wide.mul(math.sqrt(scale)).mul_(math.sqrt(scale))
