"""What a comparison of two forward passes says of an error."""

import pytest
import torch
from transformers import LlamaConfig, LlamaForCausalLM

from ngdiff.speed import Forward
from ngdiff.speed.checks import difference_if_cut

BATCH = {name: torch.ones(2, 4, dtype=torch.int64) for name in ("input_ids", "attention_mask", "labels")}


@pytest.fixture
def model():
    config = {"vocab_size": 8, "hidden_size": 8, "intermediate_size": 8, "num_hidden_layers": 1}
    return LlamaForCausalLM(LlamaConfig(**config, num_attention_heads=1)).eval()


def raising(error):
    """A pass that ends so."""

    def fail(*args, **options):
        raise error

    return fail


@pytest.mark.parametrize(
    "error",
    [
        torch.OutOfMemoryError("CUDA out of memory. Tried to allocate 20 GiB"),
        RuntimeError("[enforce fail at alloc_cpu.cpp:124] DefaultCPUAllocator: can't allocate memory"),
    ],
)
def test_no_memory_left_is_no_difference(model, monkeypatch, error):
    monkeypatch.setattr(Forward, "__call__", raising(error))
    with pytest.raises(type(error), match="memory"):
        difference_if_cut(model, BATCH)


def test_what_a_model_refuses_is_a_difference(model, monkeypatch):
    monkeypatch.setattr(Forward, "__call__", raising(RuntimeError("shapes do not match\nhere is more")))
    assert difference_if_cut(model, BATCH) == "RuntimeError: shapes do not match"
