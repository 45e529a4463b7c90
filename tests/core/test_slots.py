"""Two gradients over the same parameters, without copies."""

import pytest
import torch
from torch.nn import Parameter

from ngdiff.core import GradientSlots


def test_sides_accumulate_apart_in_any_order():
    p, q = Parameter(torch.ones(2)), Parameter(torch.ones(1))
    slots = GradientSlots([p, q])
    for factor in (1.0, 2.0):
        with slots.filling("retain"):
            (factor * p).sum().backward()
        with slots.filling("forget"):
            (10 * factor * p).sum().backward()
            (q * 3).sum().backward()
    assert p.grad is None
    retain, forget = slots.take("retain"), slots.take("forget")
    assert [g if g is None else g.tolist() for g in retain] == [[3.0, 3.0], None]
    assert [g.tolist() for g in forget] == [[30.0, 30.0], [6.0]]
    assert slots.take("retain") == [None, None]


def test_accumulates_into_one_buffer():
    p = Parameter(torch.ones(2))
    slots = GradientSlots([p])
    pointers = set()
    for _ in range(3):
        with slots.filling("retain"):
            p.sum().backward()
            pointers.add(p.grad.data_ptr())
    assert len(pointers) == 1


def test_an_error_inside_leaves_no_gradient_behind():
    p = Parameter(torch.ones(1))
    slots = GradientSlots([p])

    def fill_and_fail() -> None:
        with slots.filling("forget"):
            p.sum().backward()
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fill_and_fail()
    assert p.grad is None
    slots.clear()
    assert slots.take("forget") == [None]
