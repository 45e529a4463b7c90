"""Rows for the models of `models.py`."""

import pytest
import torch

from ngdiff.data import AnswerCollator

from .models import CONFIGS, build, row


@pytest.fixture
def batch() -> dict[str, torch.Tensor]:
    """Rows of several lengths; one learned from its first token on, one without an answer, one of a single token."""
    rows = [row(12, 4, 1), row(9, 0, 2), row(7, 7, 3), row(1, 0, 4), row(11, 5, 5)]
    return AnswerCollator(0)(rows)


@pytest.fixture
def model():
    """A Llama."""
    return build(CONFIGS["llama"])
