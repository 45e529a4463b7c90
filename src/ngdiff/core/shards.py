"""Sharded tensors (FSDP2's `DTensor`): each rank works on its own shard, and sums are taken over all of them.

Weights, gradients and optimizer states may be sharded, replicated, or mixed, as with an adapter of plain tensors on a
sharded base. Sums are taken over each kind separately and added.
"""

import math
from collections.abc import Callable, Hashable, Sequence
from typing import Any

import torch
import torch.distributed as dist
from torch import Tensor

from ngdiff.core.gramian import Gramian
from ngdiff.core.inner_products import Gradient, gramian

if dist.is_available():
    from torch.distributed.tensor import DTensor
else:  # some builds of torch have no distributed part

    class DTensor(Tensor):  # type: ignore[no-redef]
        """No tensor is one."""


def is_sharded(tensor: Tensor | None) -> bool:
    """Whether the tensor is spread over ranks, so that others may hold other parts of it."""
    return isinstance(tensor, DTensor)


@torch.no_grad()
def local(tensor: Tensor) -> Tensor:
    """This rank's shard, in the same memory; the tensor itself if it is not sharded."""
    return tensor.to_local() if isinstance(tensor, DTensor) else tensor


def whole(tensor: Tensor) -> Tensor:
    """The whole tensor on every rank. All ranks must call it, in the same order."""
    return tensor.full_tensor() if isinstance(tensor, DTensor) else tensor


def gramian_over_shards(g_r: Gradient, g_f: Gradient) -> Gramian:
    """`gramian` of gradients that may be sharded; the same numbers on every rank.

    One reduction of three numbers for each way of sharding (usually one), none for whole tensors.

    Args:
        g_r: Retain gradient, one tensor or None per parameter.
        g_f: Forget gradient, same order and same shards.
    """
    groups: dict[Hashable, list[int]] = {}
    for index, (r, f) in enumerate(zip(g_r, g_f, strict=True)):
        groups.setdefault(_place(r if r is not None else f), []).append(index)
    parts = [
        gramian([_local(g_r[i]) for i in indices], [_local(g_f[i]) for i in indices], reduce=_reducer(place))
        for place, indices in groups.items()
    ]
    return Gramian(*(sum((getattr(part, name) for part in parts), 0.0) for name in ("a", "s", "b")))


def norm(tensors: Sequence[Tensor]) -> float:
    """Euclidean norm of all entries together, over all shards; fp32 within a tensor, double across."""
    groups: dict[Hashable, list[Tensor]] = {}
    for tensor in tensors:
        groups.setdefault(_place(tensor), []).append(local(tensor))
    total = 0.0
    for place, parts in groups.items():
        norms = [torch.linalg.vector_norm(t, dtype=torch.promote_types(t.dtype, torch.float32)) for t in parts]
        here = math.hypot(*torch.stack(norms).tolist())
        reduce = _reducer(place)
        if reduce is not None:
            here = math.sqrt(reduce(torch.tensor([here**2], dtype=torch.float64)).item())
        total = math.hypot(total, here)
    return total


def sum_over_shards(values: Sequence[Tensor], tensors: Sequence[Tensor]) -> list[float]:
    """Sum of numbers that each process took of its own parts of tensors; the same in every process.

    Args:
        values: (N,) each, one for each of `tensors`.
        tensors: What they were taken of; a number of a whole tensor counts once.
    """
    groups: dict[Hashable, list[Tensor]] = {}
    for value, tensor in zip(values, tensors, strict=True):
        groups.setdefault(_place(tensor), []).append(value)
    total = torch.zeros(len(values[0]), dtype=torch.float64)
    for place, parts in groups.items():
        here = torch.stack([part.to(parts[0].device) for part in parts]).sum(0).cpu().double()
        reduce = _reducer(place)
        total += here if reduce is None else reduce(here)
    return [float(number) for number in total.tolist()]


def true_on_every_rank(fact: bool, tensors: Sequence[Tensor]) -> bool:
    """Whether something that is true or false of the local shards is true on every rank that has such shards."""
    for place in {_place(tensor) for tensor in tensors}:
        reduce = _reducer(place)
        if reduce is not None:
            fact = reduce(torch.tensor([0.0 if fact else 1.0], dtype=torch.float64)).item() == 0.0
    return fact


def _local(tensor: Tensor | None) -> Tensor | None:
    return None if tensor is None else local(tensor)


def _place(tensor: Tensor | None) -> Hashable:
    """How a tensor is sharded: its mesh and the mesh dimensions that it is split over; None for a whole tensor."""
    if not isinstance(tensor, DTensor):
        return None
    if any(placement.is_partial() for placement in tensor.placements):
        raise ValueError("a gradient whose sum over processes is pending cannot be measured; reduce it first")
    cut = tuple(dim for dim, placement in enumerate(tensor.placements) if not placement.is_replicate())
    return (tensor.device_mesh, cut)


def _reducer(place: Any) -> Callable[[Tensor], Tensor] | None:
    if place is None:
        return None
    mesh, cut = place

    def reduce(value: Tensor) -> Tensor:
        value = value.to(mesh.device_type)
        for dim in cut:
            dist.all_reduce(value, group=mesh.get_group(dim))
        return value.cpu()

    return reduce
