"""What of a single process's memory each of several processes holds."""

from collections.abc import Mapping
from typing import Any

from torch import nn

# Divided by FSDP2 over the processes; the rest belongs to the rows that a process sees.
_SHARDED = ("weights", "gradients", "optimizer state", "probe", "host")


def share_of(parts: Mapping[str, int], model: nn.Module, *, processes: int, sharded: bool) -> dict[str, int]:
    """Bytes of one process of several.

    DDP: all that a single process holds, and buckets in which gradients are reduced, as large as these. FSDP2:
    weights, gradients and what belongs to them divided, and the gathered part: the weights outside of layers, which
    stay whole through a pass, two layers (one is fetched while the other computes), and the gradient of one before it
    is shared out.

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
