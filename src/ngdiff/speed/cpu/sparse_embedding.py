"""Sparse gradients of a model's input embedding: only the rows of a batch's tokens."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from torch import nn

from ngdiff.modeling.vocabulary import input_embedding


@contextmanager
def sparse_embedding(model: nn.Module) -> Iterator[None]:
    """Within, forward passes are recorded so that their backward pass makes a sparse gradient of the input embedding.

    A dense one is written in every backward pass, mostly zeros: with 50 000 words more than all other layers of a small
    model have. It stays dense for sharded weights and fake tensors, where a hook watches the gradient, and where the
    embedding is tied to the output head.

    Args:
        model: In one process.
    """
    embedding = _input_embedding(model)
    if embedding is None:
        yield
        return
    before = embedding.sparse
    embedding.sparse = True
    try:
        yield
    finally:
        embedding.sparse = before


def _input_embedding(model: nn.Module) -> nn.Embedding | None:
    """The input embedding, or None if its gradient must be dense."""
    found = input_embedding(model)
    if not isinstance(found, nn.Embedding) or found.scale_grad_by_freq:
        return None
    weight: Any = found.weight
    is_looked_at = weight._backward_hooks or getattr(weight, "_post_accumulate_grad_hooks", None)
    return found if type(weight) is nn.Parameter and not is_looked_at else None
