"""Pruning: set the smallest 30 or 50 % of the weights of each linear layer to 0 (Han et al. 2015, arXiv 1506.02626)."""

from collections.abc import Iterator

from torch import Tensor

from ngdiff.audit.base import Bed, Variant, variant_of
from ngdiff.audit.linear import linear_weights
from ngdiff.audit.target import Target

PERCENT = (30, 50)


def prune(target: Target, bed: Bed) -> Iterator[tuple[str, Variant]]:
    """The model without its smallest weights."""
    for percent in PERCENT:
        target.restore()
        for weight in linear_weights(target.model):
            remove_smallest(weight, percent)
        yield f"{percent} % of weights", variant_of(bed.ask(target.model, bed.forget))


def remove_smallest(weight: Tensor, percent: int) -> None:
    """Set the `percent` smallest values in magnitude to 0, in place, including all ties at the threshold."""
    count = weight.numel() * percent // 100
    if count:
        magnitude = weight.abs()
        weight[magnitude <= magnitude.flatten().float().kthvalue(count).values] = 0
