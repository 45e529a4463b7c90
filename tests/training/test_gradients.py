"""From the passes of a step to the combined gradient: two buffers, or one and a third pass."""

import pytest
import torch
from torch.nn import Parameter

from ngdiff.training.gradients import OneBuffer, TwoBuffers
from ngdiff.weighting import Weights

BATCHES = {"retain": None, "forget": None}


def taken(kind, weights: Weights, micro_batches: int = 1):
    """Inner products, final gradients and passes of three parameters: one of both sides, one of each side alone."""
    both, retain, forget = (Parameter(torch.ones(3)) for _ in range(3))
    passes = []

    def run(side, batch, factor):
        passes.append((side, factor))
        ((2 * both + 3 * retain) if side == "retain" else (5 * both + 7 * forget)).sum().mul(factor).backward()

    gradients = kind([both, retain, forget])
    for _ in range(micro_batches):
        gradients.add(BATCHES, run)
    found = gradients.take(run)
    found.combine(weights, run)
    return found.products, [None if p.grad is None else p.grad.tolist() for p in (both, retain, forget)], passes


@pytest.mark.parametrize("kind", [TwoBuffers, OneBuffer])
@pytest.mark.parametrize("micro_batches", [1, 2])
def test_the_sum_has_the_weights(kind, micro_batches):
    products, final, _ = taken(kind, Weights(1.0, -1.0), micro_batches)
    n = micro_batches
    assert final == [[-3.0 * n] * 3, [3.0 * n] * 3, [-7.0 * n] * 3]
    assert (products.a, products.b) == (3 * 13 * n**2, 3 * 74 * n**2)
    assert products.s == (3 * 10 * n**2 if kind is TwoBuffers else 0.0)  # one buffer never sees both


@pytest.mark.parametrize("kind", [TwoBuffers, OneBuffer])
def test_without_a_direction_there_is_no_gradient(kind):
    assert taken(kind, Weights(0.0, 0.0))[1] == [None] * 3


def test_one_buffer_takes_the_forget_pass_once_more_where_it_has_weight():
    assert taken(OneBuffer, Weights(1.0, -0.5))[2] == [("forget", 1.0), ("retain", 1.0), ("forget", -0.5)]
    assert taken(OneBuffer, Weights(1.0, 0.0))[2] == [("forget", 1.0), ("retain", 1.0)]
    assert taken(TwoBuffers, Weights(1.0, -0.5))[2] == [("retain", 1.0), ("forget", 1.0)]


@pytest.mark.parametrize("kind", [TwoBuffers, OneBuffer])
def test_each_step_begins_anew(kind):
    weight = Parameter(torch.ones(3))

    def run(side, batch, factor):
        ((2 if side == "retain" else 5) * factor * weight).sum().backward()

    gradients = kind([weight])
    for _ in range(2):
        weight.grad = None
        gradients.add(BATCHES, run)
        gradients.take(run).combine(Weights(1.0, 1.0), run)
        assert weight.grad.tolist() == [7.0] * 3


def test_rows_of_an_embedding_become_whole_in_a_buffer_that_is_used_again():
    weight, places = Parameter(torch.zeros(6, 2)), []

    def run(side, batch, factor):
        torch.nn.functional.embedding(batch, weight, sparse=True).sum().backward()

    gradients = TwoBuffers([weight])
    for _ in range(2):
        gradients.add({"retain": torch.tensor([0, 1]), "forget": torch.tensor([1, 4])}, run)
        gradients.take(run).combine(Weights(1.0, -1.0), run)
        assert weight.grad[:, 0].tolist() == [1.0, 0.0, 0.0, 0.0, -1.0, 0.0]
        places.append(weight.grad.data_ptr())
        weight.grad = None
    assert places[0] == places[1]
