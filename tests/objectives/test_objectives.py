"""Objectives against slow twins, and the forget ceiling."""

import math

import pytest
import torch

from ngdiff.core import Answers
from ngdiff.errors import InputError
from ngdiff.objectives import FORGET_OBJECTIVES, RETAIN_OBJECTIVES, forget_ceiling


def answers(seed: int = 0) -> tuple[Answers, torch.Tensor]:
    logits = torch.randn(6, 5, generator=torch.Generator().manual_seed(seed), dtype=torch.float64, requires_grad=True)
    labels = torch.tensor([0, 3, 2, 2, 4, 1])
    nll = -logits.log_softmax(-1)[torch.arange(6), labels]
    return Answers(nll, torch.tensor([0, 0, 0, 2, 2, 2]), rows=3), logits


@pytest.mark.parametrize(("table", "sign"), [(RETAIN_OBJECTIVES, 1.0), (FORGET_OBJECTIVES, -1.0)])
def test_cross_entropy_is_a_sum_over_tokens_and_so_is_its_gradient(table, sign):
    batch, logits = answers()
    loss = table["ce"].function(batch)
    expected = sign * sum(batch.nll.tolist())
    assert loss.item() == pytest.approx(expected, rel=1e-12)
    loss.backward()
    probabilities = logits.detach().softmax(-1)
    onehot = torch.nn.functional.one_hot(torch.tensor([0, 3, 2, 2, 4, 1]), 5)
    torch.testing.assert_close(logits.grad, sign * (probabilities - onehot))


@pytest.mark.parametrize("table", [RETAIN_OBJECTIVES, FORGET_OBJECTIVES])
def test_every_objective_adds_up_over_batches(table):
    whole, _ = answers()
    first = Answers(whole.nll[:3], whole.row[:3], rows=1)
    second = Answers(whole.nll[3:], whole.row[3:] - 2, rows=1)
    for objective in table.values():
        total = objective.function(first) + objective.function(second)
        assert total.item() == pytest.approx(objective.function(whole).item(), rel=1e-12)


def log_sigmoid(x: float) -> float:
    return -math.log1p(math.exp(-x))


# Objective -> value from (probabilities, row of each token), token by token in double precision.
TWINS = {
    "ce": lambda p, row: sum(math.log(x) for x in p),
    "wga": lambda p, row: sum(x * math.log(x) for x in p),
    "satimp": lambda p, row: sum(x**5 * (1 - x) * math.log(x) for x in p),
    "simnpo": lambda p, row: sum(
        -(2 / 4.5) * log_sigmoid(4.5 * -sum(math.log(x) for x, r in zip(p, row, strict=True) if r == i) / row.count(i))
        for i in sorted(set(row))
    ),
}
# Objective -> gradient with respect to each token's log-probability, written by hand.
GRADIENTS = {
    "ce": lambda p, row: [1.0 for _ in p],
    "wga": lambda p, row: list(p),
    "satimp": lambda p, row: [x**5 * (1 - x) for x in p],
    "simnpo": lambda p, row: [
        2
        / row.count(r)
        / (1 + math.exp(4.5 * -sum(math.log(x) for x, s in zip(p, row, strict=True) if s == r) / row.count(r)))
        for r in row
    ],
}


def test_every_forget_objective_has_a_twin():
    assert set(TWINS) == set(GRADIENTS) == set(FORGET_OBJECTIVES)


@pytest.mark.parametrize("name", TWINS)
def test_value_and_gradient_equal_a_slow_twin(name):
    batch, logits = answers()
    p = (-batch.nll).exp().tolist()
    row = batch.row.tolist()
    loss = FORGET_OBJECTIVES[name].function(batch)
    assert loss.item() == pytest.approx(TWINS[name](p, row), rel=1e-10)
    (gradient,) = torch.autograd.grad(loss, logits)
    labels = torch.nn.functional.one_hot(torch.tensor([0, 3, 2, 2, 4, 1]), 5)
    by_logit = labels - logits.detach().softmax(-1)  # d log p / d logits
    expected = torch.tensor(GRADIENTS[name](p, row), dtype=torch.float64)[:, None] * by_logit
    torch.testing.assert_close(gradient, expected, rtol=1e-9, atol=1e-12)


@pytest.mark.parametrize("name", TWINS)
@pytest.mark.parametrize("loss", [0.0, 1e-6, 50.0, 1e4])
def test_values_and_gradients_stay_finite(name, loss):
    nll = torch.full((3,), loss, requires_grad=True)
    value = FORGET_OBJECTIVES[name].function(Answers(nll, torch.tensor([0, 0, 1]), rows=3))
    (gradient,) = torch.autograd.grad(value, nll)
    assert math.isfinite(value.item())
    assert torch.isfinite(gradient).all()
    assert (gradient <= 0).all(), "minimising must never make a forgotten token likelier"


def test_per_row_sums():
    batch, _ = answers()
    sums, counts = batch.per_row()
    assert counts.tolist() == [3, 0, 3]
    assert sums[0].item() == pytest.approx(batch.nll[:3].sum().item())
    assert sums[1].item() == 0.0


@pytest.mark.parametrize(
    ("option", "expected"),
    [("random", math.log(1000)), ("none", None), (None, None), ("2.5", 2.5), (3, 3.0), ("holdout", 4.0)],
)
def test_ceiling(option, expected):
    assert forget_ceiling(option, vocabulary=1000, holdout_loss=4.0) == expected


@pytest.mark.parametrize("option", ["maximum", "0", "-1", "nan", "inf", ""])
def test_ceilings_that_make_no_sense(option):
    with pytest.raises(InputError, match=f"--forget-ceiling {option} is none of random, holdout, none"):
        forget_ceiling(option, vocabulary=10)


def test_a_holdout_ceiling_needs_a_holdout_set():
    with pytest.raises(InputError, match="needs --holdout"):
        forget_ceiling("holdout", vocabulary=10)
