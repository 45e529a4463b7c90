"""The logits of an image classifier, of transformers or any other, for a batch.

Shape legend: B images, V classes.
"""

from typing import Any

from torch import Tensor, nn


def image_logits(model: nn.Module, pixel_values: Tensor) -> Tensor:
    """(B, C, H, W) -> (B, V): what the model says, at least fp32.

    Args:
        model: An image classifier of transformers, or any module that maps a batch to logits (itself or in `.logits`).
        pixel_values: Prepared images.
    """
    output: Any = model(pixel_values)
    logits: Tensor = output if isinstance(output, Tensor) else output.logits
    return logits.double() if logits.dtype.itemsize == 8 else logits.float()
