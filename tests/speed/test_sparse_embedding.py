"""Sparse gradients of the input embedding, for as long as they are wanted."""

import pytest
import torch
from torch import nn
from transformers import PreTrainedConfig, PreTrainedModel

from ngdiff.speed.cpu.sparse_embedding import sparse_embedding


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


def frequent(embedding: nn.Embedding) -> None:
    embedding.scale_grad_by_freq = True


def hooked(embedding: nn.Embedding) -> None:
    embedding.weight.register_hook(lambda gradient: gradient.clamp(-1, 1))


def watched(embedding: nn.Embedding) -> None:
    embedding.weight.register_post_accumulate_grad_hook(lambda weight: print(weight.grad.norm()))


@pytest.mark.parametrize("change", [frequent, hooked, watched])
def test_what_must_be_dense_stays_so(model, change):
    embedding = model.get_input_embeddings()
    change(embedding)
    with sparse_embedding(model):
        embedding(torch.tensor([1, 2])).sum().backward()
    assert not embedding.weight.grad.is_sparse


class Unknown(PreTrainedModel):
    """A model whose embedding transformers does not find."""

    config_class = PreTrainedConfig

    def __init__(self, config):
        super().__init__(config)
        self.table = nn.Embedding(4, 2)


@pytest.mark.parametrize("make", [lambda: nn.Linear(2, 2), lambda: Unknown(PreTrainedConfig())])
def test_a_model_without_a_known_embedding_is_left_alone(make):
    with sparse_embedding(make()):
        pass
