"""Quantisation: rounding can undo unlearning whose change of the weights is smaller than the rounding step (Zhang et
al. 2024, arXiv 2410.16454).

Weights of linear layers are rounded to the nearest grid value and kept in their dtype ("fake" quantisation): the values
that a quantised model computes with, without its savings of memory and time. 8 bits: one scale for each output channel;
4 bits: one for each group of 64 inputs of a channel. Symmetric, `s = max|w| / (2^(b-1) - 1)`, `w <- s round(w / s)`.
GPTQ, AWQ and NF4 use other grids.
"""

from collections.abc import Iterator

import torch
from torch import Tensor

from ngdiff.audit.base import Bed, Variant, variant_of
from ngdiff.audit.linear import linear_weights
from ngdiff.audit.target import Target

GROUP = 64


def quantise(target: Target, bed: Bed) -> Iterator[tuple[str, Variant]]:
    """The model with 8-bit and 4-bit weights."""
    for bits, group in ((8, None), (4, GROUP)):
        target.restore()
        for weight in linear_weights(target.model):
            weight.copy_(rounded(weight, bits, group))
        yield f"{bits} bit, round to nearest", variant_of(bed.ask(target.model, bed.forget))


def rounded(weight: Tensor, bits: int, group: int | None = None) -> Tensor:
    """(outputs, inputs) rounded to the nearest of `2^bits - 1` values for each output channel, or group of its inputs.

    >>> rounded(torch.tensor([[7.0, 2.4, -0.6]]), 4).tolist()
    [[7.0, 2.0, -1.0]]
    """
    parts = weight.float().split(group or weight.shape[1], dim=1)
    return torch.cat([_nearest(part, 2 ** (bits - 1) - 1) for part in parts], dim=1).to(weight.dtype)


def _nearest(part: Tensor, levels: int) -> Tensor:
    scale = part.abs().amax(dim=1, keepdim=True) / levels
    scale = torch.where(scale > 0, scale, torch.ones_like(scale))
    return (part / scale).round() * scale
