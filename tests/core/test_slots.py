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
    assert slots.take("forget")[0].tolist() == [1.0]
    assert slots.take("forget") == [None]


def test_the_side_that_waits_is_put_away_and_the_other_is_not():
    p, bare = Parameter(torch.ones(3)), Parameter(torch.ones(1))
    slots = GradientSlots([p, bare], stash_dtype=torch.bfloat16)
    values = torch.tensor([1.0, 1.0 + 2**-12, 3.0])  # the second is rounded to 1 in bf16
    with slots.filling("retain"):
        (values * p).sum().backward()
    with slots.filling("forget"):
        assert p.grad is None
        (values * p).sum().backward()
    with slots.filling("retain"):
        assert p.grad.dtype == torch.float32
        (values * p).sum().backward()
    retain, forget = slots.take("retain"), slots.take("forget")
    assert torch.equal(retain[0], values + torch.tensor([1.0, 1.0, 3.0]))
    assert forget[0].dtype == torch.bfloat16
    assert retain[1] is forget[1] is None


@pytest.mark.parametrize("device", [None, "meta"])  # meta: a place other than the parameter's, on any machine
def test_gradients_wait_where_they_are_told_to(device):
    p = Parameter(torch.ones(3))
    slots = GradientSlots([p], stash_device=device)
    for side in ("retain", "forget"):
        with slots.filling(side):
            p.sum().backward()
    assert slots.take("retain")[0].device.type == (device or "cpu")
    assert slots.take("forget")[0].device.type == "cpu"


def test_restored_gradients_have_the_type_of_their_parameters():
    p, q = Parameter(torch.ones(2)), Parameter(torch.ones(2))
    slots = GradientSlots([p, q])
    kept = torch.ones(2)
    slots.restore([kept, torch.ones(2, dtype=torch.bfloat16)])
    assert p.grad is kept
    assert q.grad.dtype == torch.float32
    slots.restore(None)
    assert p.grad is None
    assert q.grad is None
