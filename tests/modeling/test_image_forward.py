"""Losses of labels, against one image at a time."""

import math

import pytest
import torch
from torch import nn

from ngdiff.core.answers import count_units
from ngdiff.modeling.image_forward import image_answers

MODEL = nn.Sequential(nn.Flatten(), nn.Linear(12, 5)).double()
PIXELS = torch.randn(4, 3, 2, 2, generator=torch.Generator().manual_seed(0), dtype=torch.float64)


def test_losses_are_minus_log_probabilities():
    labels = torch.tensor([4, 0, -100, 2])
    answers = image_answers(MODEL, {"pixel_values": PIXELS, "labels": labels}, {"logits"})
    assert answers.rows == 4
    assert answers.row.tolist() == [0, 1, 3]
    assert answers.labels is not None
    assert answers.labels.tolist() == [4, 0, 2]
    for loss, row, label in zip(answers.nll.tolist(), answers.row.tolist(), [4, 0, 2], strict=True):
        scores = MODEL(PIXELS[row : row + 1])[0].tolist()
        assert loss == pytest.approx(math.log(sum(math.exp(s - scores[label]) for s in scores)), rel=1e-12)
    assert answers.logits is not None
    assert answers.logits.shape == (3, 5)
    units = {unit: int(count_units(labels, unit)) for unit in ("token", "sequence", "later_token")}
    assert units == {"token": 3, "sequence": 3, "later_token": 0}


def test_a_batch_without_labels_gives_zero_and_a_gradient():
    answers = image_answers(MODEL, {"pixel_values": PIXELS, "labels": torch.full((4,), -100)})
    assert answers.nll.shape == (0,)
    assert answers.logits is None
    grads = torch.autograd.grad(answers.nll.sum(), list(MODEL.parameters()))
    assert all(not grad.any() for grad in grads)
