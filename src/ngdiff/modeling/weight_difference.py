"""How far apart the weights of two files are."""

import math
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open


def largest_difference(one: Path, other: Path) -> float:
    """The largest absolute difference of two weights at the same place, max |a - b|, in float64.

    Infinite where the files hold other tensors, or where only one of two weights is a number.

    Args:
        one, other: safetensors files. One tensor of each is in memory at a time.

    Raises:
        ValueError: one of them is no safetensors file.
    """
    try:
        with safe_open(one, framework="pt") as first, safe_open(other, framework="pt") as second:
            names = set(first.keys())
            if names != set(second.keys()):
                return math.inf
            return max((_difference(first.get_tensor(name), second.get_tensor(name)) for name in names), default=0.0)
    except SafetensorError as error:
        raise ValueError(f"{one} or {other} is no safetensors file: {error}") from error


def _difference(one: torch.Tensor, other: torch.Tensor) -> float:
    if one.shape != other.shape:
        return math.inf
    if one.numel() == 0:
        return 0.0
    apart = (one.double() - other.double()).abs()
    same = (one == other) | (one.isnan() & other.isnan())  # infinite ones, too, whose difference is no number
    return float(apart.masked_fill(same, 0.0).nan_to_num(nan=math.inf, posinf=math.inf).max())
