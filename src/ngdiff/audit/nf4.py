"""NF4: the 4-bit grid of QLoRA (Dettmers et al. 2023, arXiv 2305.14314), by bitsandbytes, where it is installed.

16 values, quantiles of a normal distribution, in blocks of 64 weights, each with its own largest magnitude. As in the
attack `quantise`, the weights of linear layers become what the quantised model computes with, in their own dtype.
"""

from collections.abc import Iterator
from importlib.util import find_spec

from ngdiff.audit.base import Bed, NotApplicableError, Variant, variant_of
from ngdiff.audit.linear import linear_weights
from ngdiff.audit.target import Target

_BLOCK = 64


def to_nf4(target: Target, bed: Bed) -> Iterator[tuple[str, Variant]]:
    """The model with NF4 weights."""
    if find_spec("bitsandbytes") is None:
        raise NotApplicableError("it needs the package bitsandbytes: pip install 'ngdiff[nf4]'")
    from bitsandbytes.functional import dequantize_4bit, quantize_4bit

    for weight in linear_weights(target.model):
        # In one row: of a matrix whose rows are no multiple of a block, bitsandbytes 0.50 mixes up blocks on a CPU.
        quantised = quantize_4bit(weight.flatten(), blocksize=_BLOCK, quant_type="nf4")
        weight.copy_(dequantize_4bit(*quantised).view_as(weight))
    yield "4 bit, NF4", variant_of(bed.ask(target.model, bed.forget))
