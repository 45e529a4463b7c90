"""What the buffers of a step give back."""

import pytest
import torch
from torch.nn import Parameter

from ngdiff.training.gradients import OneBuffer, TwoBuffers
from ngdiff.weighting import Weights


def combined(kind, weights: Weights):
    """Spent tensors and final gradients of three parameters: one of both sides, one of each side alone."""
    both, retain, forget = (Parameter(torch.ones(3)) for _ in range(3))

    def run(side, batch, factor):
        ((2 * both + 3 * retain) if side == "retain" else (5 * both + 7 * forget)).sum().mul(factor).backward()

    gradients = kind([both, retain, forget])
    gradients.add({"retain": None, "forget": None}, run)
    spent = gradients.combine(lambda products: weights, run)
    return spent, [p.grad for p in (both, retain, forget)]


def test_the_spent_gradient_is_given_back_and_is_no_other():
    spent, final = combined(TwoBuffers, Weights(1.0, -1.0))
    assert [g.tolist() for g in final] == [[-3.0] * 3, [3.0] * 3, [-7.0] * 3]
    assert len(spent) == 1
    spent[0].fill_(100.0)
    assert [g.tolist() for g in final] == [[-3.0] * 3, [3.0] * 3, [-7.0] * 3]


def test_a_gradient_that_was_rows_gives_back_as_much_memory_as_a_whole_one():
    weight = Parameter(torch.zeros(6, 2))

    def run(side, batch, factor):
        torch.nn.functional.embedding(batch, weight, sparse=True).sum().backward()

    gradients = TwoBuffers([weight])
    spent = []
    for _ in range(2):
        gradients.add({"retain": torch.tensor([0, 1]), "forget": torch.tensor([1, 4])}, run)
        spent.append([g for g in gradients.combine(lambda products: Weights(1.0, -1.0), run) if g.shape == (6, 2)])
        assert spent[-1][0].data_ptr() != weight.grad.data_ptr()
        assert weight.grad[:, 0].tolist() == [1.0, 0.0, 0.0, 0.0, -1.0, 0.0]
    assert [len(tensors) for tensors in spent] == [1, 1]
    assert spent[0][0] is spent[1][0]


@pytest.mark.parametrize("kind", [TwoBuffers, OneBuffer])
def test_without_a_direction_nothing_is_given_back(kind):
    spent, final = combined(kind, Weights(0.0, 0.0))
    assert spent == []
    assert final == [None] * 3


def test_one_buffer_has_nothing_to_give_back():
    spent, final = combined(OneBuffer, Weights(1.0, -1.0))
    assert spent == []
    assert [g.tolist() for g in final] == [[-3.0] * 3, [3.0] * 3, [-7.0] * 3]
