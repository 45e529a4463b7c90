"""Rounded and pruned matrices."""

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel

from ngdiff.audit.linear import linear_weights
from ngdiff.audit.prune import remove_smallest
from ngdiff.audit.quantise import rounded


@pytest.mark.parametrize(("bits", "group"), [(8, None), (4, 64), (4, 50)])
def test_each_value_is_the_nearest_of_its_grid(bits, group):
    weight = torch.randn(3, 130, generator=torch.Generator().manual_seed(0))
    levels = 2 ** (bits - 1) - 1
    found = rounded(weight, bits, group)
    for row, new in zip(weight, found, strict=True):
        for part, own in zip(row.split(group or 130), new.split(group or 130), strict=True):
            grid = torch.arange(-levels, levels + 1) * part.abs().max() / levels
            nearest = grid[(part[:, None] - grid).abs().argmin(dim=1)]
            torch.testing.assert_close(own, nearest)


def test_a_row_of_zeros_stays():
    assert rounded(torch.zeros(2, 5), 4).tolist() == [[0.0] * 5] * 2


def test_the_smallest_go():
    weight = torch.tensor([[3.0, -0.1], [0.2, -4.0]])
    remove_smallest(weight, 50)
    assert weight.tolist() == [[3.0, 0.0], [0.0, -4.0]]
    remove_smallest(weight, 0)
    assert weight.count_nonzero() == 2


def test_weights_of_gpt2_are_seen_with_their_outputs_first_and_without_its_head():
    model = GPT2LMHeadModel(GPT2Config(vocab_size=11, n_embd=8, n_layer=1, n_head=2, n_positions=8))
    shapes = [tuple(weight.shape) for weight in linear_weights(model)]
    assert shapes == [(24, 8), (8, 8), (32, 8), (8, 32)]
    for weight in linear_weights(model):
        weight.zero_()
    assert model.transformer.h[0].mlp.c_fc.weight.count_nonzero() == 0
    assert model.transformer.wte.weight.count_nonzero() > 0
