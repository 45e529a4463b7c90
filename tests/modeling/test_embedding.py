"""Sparse gradients of the input embedding, for as long as they are wanted."""

import pytest
import torch
from torch import nn

from ngdiff.modeling.embedding import sparse_embedding


def test_the_gradient_is_sparse_within_and_dense_afterwards(model):
    embedding = model.get_input_embeddings()
    kinds = []
    for within in (True, False):
        if within:
            with sparse_embedding(model):
                embedding(torch.tensor([1, 2])).sum().backward()
        else:
            embedding(torch.tensor([1, 2])).sum().backward()
        kinds.append(embedding.weight.grad.is_sparse)
        embedding.weight.grad = None
    assert kinds == [True, False]


def test_it_is_as_before_also_after_an_error(model):
    def fail_within() -> None:
        with sparse_embedding(model):
            assert model.get_input_embeddings().sparse
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail_within()
    assert not model.get_input_embeddings().sparse


def test_what_must_be_dense_stays_so(model):
    model.get_input_embeddings().scale_grad_by_freq = True
    with sparse_embedding(model):
        assert not model.get_input_embeddings().sparse
    with sparse_embedding(nn.Linear(2, 2)):
        pass  # a model that names no embedding
