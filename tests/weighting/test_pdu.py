"""PDU against a slow twin, on a problem whose multiplier is known, and its state."""

import json

import pytest
import torch

from ngdiff.core import Gramian
from ngdiff.errors import InputError
from ngdiff.weighting import WEIGHTINGS, Losses, Weights, weigh

PDU = WEIGHTINGS["pdu"]
K = Gramian(1.0, 0.0, 1.0)


@pytest.mark.parametrize(("lr", "start"), [(1.0, 1.0), (0.3, 2.0), (5.0, 0.0)])
@pytest.mark.parametrize("epsilon", [None, 0.4])
def test_the_multiplier_follows_the_gradient_of_the_lagrangian(lr, start, epsilon):
    """The twin differentiates `l_f + lambda (l_r - epsilon)` with respect to `lambda`."""
    g = torch.Generator().manual_seed(3)
    state, dual, bound = {}, torch.tensor(start, dtype=torch.float64, requires_grad=True), epsilon
    seen = set()
    for step in range(60):
        retain, forget = torch.rand(2, generator=g, dtype=torch.float64)
        parameters = {"lr": lr, "start": start, "epsilon": epsilon}
        weights = weigh(PDU, Losses(float(retain), -float(forget)), K, step=step, state=state, parameters=parameters)
        assert weights == (pytest.approx(float(dual.detach()), rel=1e-12, abs=1e-14), 1.0)
        bound = float(retain) + 0.3 if bound is None else bound
        (slope,) = torch.autograd.grad(-forget + dual * (retain - bound), dual)
        dual = (dual.detach() + lr * slope).clamp(min=0.0).requires_grad_()
        seen.add(weights.retain)
    assert len(seen) > 10


def test_it_finds_the_multiplier_of_a_constrained_problem():
    """Maximise `x` subject to `x^2 / 2 <= 2`: `x` = 2 and `lambda` = 1/2, where `-1 + lambda x = 0`."""
    state, x = {}, 0.5
    for _ in range(4000):
        weights = weigh(PDU, Losses(x**2 / 2, -x), K, state=state, parameters={"epsilon": 2.0, "lr": 0.02})
        x -= 0.02 * (weights.retain * x - weights.forget)
    assert (x, state["dual"]) == pytest.approx((2.0, 0.5), abs=1e-3)


def test_a_state_that_went_through_json_gives_the_same_weights():
    whole, parts = {}, {}
    for step in range(20):
        losses = Losses(0.1 * step, -1.0)
        before = weigh(PDU, losses, K, step=step, state=whole)
        parts = json.loads(json.dumps(parts))
        assert weigh(PDU, losses, K, step=step, state=parts) == before
    assert set(whole) == {"dual", "epsilon"}
    assert parts == whole


def test_below_the_bound_the_retain_side_has_no_price():
    state = {}
    for expected in (1.0, 0.5, 0.0, 0.0):
        assert weigh(PDU, Losses(0.5, -1.0), K, state=state, parameters={"epsilon": 1.0}) == Weights(expected, 1.0)


@pytest.mark.parametrize(
    ("parameters", "message"), [({"lr": 0.0}, "lr = 0.0 is not above 0"), ({"start": -1.0}, "start = -1.0 is below 0")]
)
def test_parameters_out_of_range_are_refused(parameters, message):
    with pytest.raises(InputError, match=message):
        weigh(PDU, Losses(1.0, -1.0), K, parameters=parameters)
