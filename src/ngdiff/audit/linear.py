"""The weight matrices that quantisation and pruning change."""

from collections.abc import Iterator
from typing import Any

from torch import Tensor, nn
from transformers.pytorch_utils import Conv1D

from ngdiff.audit.base import NotApplicableError


def linear_weights(model: Any) -> Iterator[Tensor]:
    """Weights of all linear layers as (outputs, inputs), views that share their memory.

    Embeddings and the output head are excluded, as in bitsandbytes and GPTQ.

    Raises:
        NotApplicableError: the model has no linear layers.
    """
    head = model.get_output_embeddings()
    found = [m for m in model.modules() if isinstance(m, nn.Linear | Conv1D) and m is not head]
    if not found:
        raise NotApplicableError("the model has no linear layers")
    for module in found:
        weight = module.weight.detach()
        yield weight.T if isinstance(module, Conv1D) else weight
