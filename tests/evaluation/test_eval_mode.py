from typing import Any

import pytest
import torch

from ngdiff.evaluation.eval_mode import eval_mode


def modes(model: Any) -> list[bool]:
    return [module.training for module in model.modules()]


def test_no_dropout_and_no_gradient_inside_and_the_old_modes_after() -> None:
    model = torch.nn.Sequential(torch.nn.Linear(3, 3), torch.nn.Dropout(0.5), torch.nn.Dropout(0.9))
    model.train()
    model[2].eval()  # frozen by its owner
    before = modes(model)
    with eval_mode(model):
        assert not any(modes(model))
        assert not model(torch.ones(1, 3)).requires_grad
    assert modes(model) == before
    assert model(torch.ones(1, 3)).requires_grad


def test_the_modes_come_back_after_an_error() -> None:
    model = torch.nn.Dropout(0.5).train()
    with pytest.raises(RuntimeError, match="out of luck"), eval_mode(model):
        raise RuntimeError("out of luck")
    assert model.training
    assert torch.is_grad_enabled()
