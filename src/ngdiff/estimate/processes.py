"""The memory of each of several processes, from that of a single one."""

from collections.abc import Mapping
from typing import Any

from torch import nn

# Sharded by FSDP2; the rest depends on the rows that a process sees.
_SHARDED = ("weights", "gradients", "optimizer state", "probe", "host")


def part_of_one_process(parts: Mapping[str, int], model: nn.Module, *, processes: int, sharded: bool) -> dict[str, int]:
    """Bytes of one process of several.

    DDP: what a single process holds, and buckets as large as the gradients, in which these are reduced. FSDP2: weights,
    gradients and what belongs to them are divided. Added are gathered weights: those outside of layers, which stay
    whole through a pass; two layers, as one is prefetched while the other computes; and the gradient of one layer
    before it is scattered.

    Args:
        parts: Of a single process with as many rows.
        model: The model.
        processes: Their number.
        sharded: FSDP2 in place of DDP.
    """
    if processes == 1:
        return dict(parts)
    if not sharded:
        return {**parts, "buckets of DDP": _bytes(p for p in model.parameters() if p.requires_grad)}
    divided = {part: -(-size // processes) if part in _SHARDED else size for part, size in parts.items()}
    layers = [m for m in model.modules() if type(m).__name__ in _layer_classes(model)]
    inside = {id(p) for layer in layers for p in layer.parameters()}
    outside = _bytes(p for p in model.parameters() if id(p) not in inside)
    largest = max((_bytes(layer.parameters()) for layer in layers), default=0)
    return {**divided, "gathered weights": outside + 3 * largest}


def _layer_classes(model: nn.Module) -> set[str]:
    return {name for module in model.modules() for name in getattr(module, "_no_split_modules", None) or ()}


def _bytes(parameters: Any) -> int:
    return sum(p.numel() * p.element_size() for p in parameters)
