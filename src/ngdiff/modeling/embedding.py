"""Gradients of a model's input embedding as rows of the tokens that a batch holds."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn


@contextmanager
def sparse_embedding(model: nn.Module) -> Iterator[None]:
    """Within, autograd keeps the gradient of the model's input embedding sparse, where it can.

    A dense one is written anew in each backward pass, most of it zeros: with 50 000 words more than all other layers
    of a small model have. An embedding that is tied to the output head gets a dense gradient all the same, and so do
    weights that are sharded or have no values.

    Args:
        model: In one process.
    """
    embedding = _input_embedding(model)
    sparse = None if embedding is None else embedding.sparse
    if embedding is not None:
        embedding.sparse = True
    try:
        yield
    finally:
        if embedding is not None and sparse is not None:
            embedding.sparse = sparse


def _input_embedding(model: nn.Module) -> nn.Embedding | None:
    """It, unless its gradient must be dense."""
    language_model: Any = model
    found = language_model.get_input_embeddings() if hasattr(model, "get_input_embeddings") else None
    if not isinstance(found, nn.Embedding) or found.scale_grad_by_freq or type(found.weight) is not nn.Parameter:
        return None
    return found
