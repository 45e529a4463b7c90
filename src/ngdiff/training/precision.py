"""What follows from the precision of a run: the size of rounding noise, and which weights cannot be trained."""

import torch
from torch import nn

from ngdiff.errors import InputError

# Relative rounding noise of one loss. fp32: sums over some hundred tokens agree to a few 1e-7 between orders of
# summation. bf16 weights or autocast: measured 3e-5 to 1.5e-4 of a curvature difference; rounded up. Where a few tokens
# make most of a small loss it is more, 7e-3 on a model of 135 M that recites, so that a search measures it.
LOSS_NOISE = {"float32": 1e-6, "bfloat16": 3e-4}

# Norm of a gradient that is rounding alone, relative to that of fp32: a KL at its start has norm 3e-6 in fp32 and
# 2.5e-4 with bf16 weights, after one step 1e-2 in both (small Llama on TOFU rows); the floor of 5e-5 becomes 1e-3.
GRADIENT_NOISE = {"float32": 1.0, "bfloat16": 20.0}


def precision_of(model: nn.Module, *, mixed: str | None) -> str:
    """`bfloat16` where weights or autocast are, else `float32`.

    Args:
        model: The model.
        mixed: accelerate's name of the autocast precision.
    """
    low = mixed == "bf16" or any(p.dtype == torch.bfloat16 for p in model.parameters())
    return "bfloat16" if low else "float32"


def refuse_half_precision(model: nn.Module) -> None:
    """Refuse to train weights in float16.

    Raises:
        InputError: some trainable weights are float16: Adam's small numbers vanish in it, and the model falls apart.
    """
    if any(p.dtype == torch.float16 and p.requires_grad for p in model.parameters()):
        raise InputError(
            "the model's weights are float16, in which training destroys them; load it in float32 (--dtype float32) or "
            "bfloat16"
        )
