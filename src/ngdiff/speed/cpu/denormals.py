"""Training without denormal numbers (below 1.2e-38 in fp32), with which CPUs compute slowly.

They occur where a model is certain: softmax and SiLU of numbers far from 0 have derivatives that small, which enter the
matrix products of the backward pass. After some fifteen steps a step of NPO took several times as long on a CPU as with
zeros in their place.
"""

import sys
from collections.abc import Iterator
from contextlib import contextmanager

import torch


@contextmanager
def denormals_are_zero() -> Iterator[None]:
    """Within, this thread treats denormal numbers as 0; afterwards as before.

    torch starts its worker threads once, at the first operation that is split over several: threads that start within
    inherit the setting and keep it, older ones never have it. So enter this before the first such operation. It has no
    effect on CPUs without the feature.
    """
    before = _are_zero()
    torch.set_flush_denormal(True)
    try:
        yield
    finally:
        torch.set_flush_denormal(before)


def _are_zero() -> bool:
    """Whether this thread treats them as 0; torch has no query for it."""
    return sys.float_info.min / 2 == 0.0
