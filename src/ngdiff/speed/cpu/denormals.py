"""Training without denormal numbers, those next to 0 (below 1.2e-38 in fp32), with which processors compute slowly.

They come where a model is sure of itself: soft-max and SiLU of numbers far from 0 have derivatives that small, and they
enter the matrix products of the backward pass. An unlearned model may be sure of anything: after some fifteen steps
a step of NPO took several times as long on a CPU as with zeros in their place.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def denormals_are_zero() -> Iterator[None]:
    """Within, this thread takes denormal numbers for 0; then as before.

    Of the threads that torch starts once for operations that several share, those that start within do so, and keep
    it; those that were there before do not: enter this before the first such operation. Where the processor cannot do
    it nothing happens.
    """
    before = _are_zero()
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)


def _are_zero() -> bool:
    """Whether they are for this thread; torch does not tell."""
    return sys.float_info.min / 2 == 0.0
