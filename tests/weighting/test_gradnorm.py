"""GradNorm against a slow twin that differentiates the printed loss, its state, and where it goes."""

import json
import math

import pytest
import torch

from ngdiff.core import Gramian, gramian
from ngdiff.errors import InputError
from ngdiff.weighting import WEIGHTINGS, Losses, Weights, weigh

GRADNORM = WEIGHTINGS["gradnorm"]


def run_of_steps(count, seed=0):
    """Gradients and minimised losses of a run: the retain loss wanders, the forget cross-entropy grows."""
    g = torch.Generator().manual_seed(seed)
    for step in range(count):
        r = torch.randn(6, generator=g, dtype=torch.float64) * (1 + step % 3)
        f = torch.randn(6, generator=g, dtype=torch.float64) * 4
        yield r, f, Losses(0.1 + 0.4 * math.sin(step) ** 2, -0.2 - 0.3 * step)


def twin(w, r, f, natural, initial, *, alpha, lr):
    """One update of the weights by autograd. `natural` and `initial` are (L_R, L_F); L_F is to rise."""
    w = torch.tensor(w, dtype=torch.float64, requires_grad=True)
    lengths = torch.stack([(w[0] * r).norm(), (w[1] * f).norm()])
    left = torch.tensor([natural[0] / initial[0], initial[1] / natural[1]], dtype=torch.float64)
    rate = left / left.mean()
    target = (lengths.mean() * rate**alpha).detach()
    (lengths - target).abs().sum().backward()
    updated = (w.detach() - lr * w.grad).clamp(min=0.0)
    return (2 * updated / updated.sum()).tolist()


@pytest.mark.parametrize(("alpha", "lr"), [(1.5, 0.025), (0.0, 0.01), (0.5, 0.2), (3.0, 0.001)])
def test_the_weights_follow_the_gradient_of_the_printed_loss(alpha, lr):
    state, expected, initial = {}, [1.0, 1.0], None
    moved = set()
    for step, (r, f, losses) in enumerate(run_of_steps(40)):
        natural = (losses.retain, -losses.forget)
        initial = initial or natural
        weights = weigh(
            GRADNORM, losses, gramian([r], [f]), step=step, state=state, parameters={"alpha": alpha, "lr": lr}
        )
        assert weights == pytest.approx(expected, rel=1e-9, abs=1e-12)
        assert sum(weights) == pytest.approx(2.0)
        # The norm has no gradient at a weight of exactly 0: the twin starts there from the limit.
        start = [max(w, 1e-100) for w in expected]
        expected = twin(start, r, f, natural, initial, alpha=alpha, lr=lr)
        moved.add(round(weights.retain, 6))
    assert len(moved) > 10


def test_a_state_that_went_through_json_gives_the_same_weights():
    whole, parts = {}, {}
    for step, (r, f, losses) in enumerate(run_of_steps(30, seed=5)):
        k = gramian([r], [f])
        before = weigh(GRADNORM, losses, k, step=step, state=whole)
        parts = json.loads(json.dumps(parts))
        assert weigh(GRADNORM, losses, k, step=step, state=parts) == before
        assert parts == whole
    assert set(whole) == {"initial", "weights"}


START = Losses(1.0, -1.0)


def settle(losses, k, *, alpha, steps=4000, lr=1e-3, start=START):
    state = {}
    weigh(GRADNORM, start, k, state=state, parameters={"alpha": alpha, "lr": lr})
    for _ in range(steps):
        weights = weigh(GRADNORM, losses, k, state=state, parameters={"alpha": alpha, "lr": lr})
    return weights


@pytest.mark.parametrize("norms", [(1.0, 1.0), (3.0, 0.5)])
def test_at_equal_rates_both_gradients_get_one_length(norms):
    k = Gramian(norms[0] ** 2, 0.0, norms[1] ** 2)
    weights = settle(Losses(1.0, -1.0), k, alpha=1.0)
    assert weights.retain * norms[0] == pytest.approx(weights.forget * norms[1], rel=0.02)


@pytest.mark.parametrize(
    ("losses", "behind"),
    [
        (Losses(1.0, -2.0), "retain"),  # the forget cross-entropy has risen: that side is ahead
        (Losses(2.0, -1.0), "retain"),  # the retain loss has risen
        (Losses(0.5, -1.0), "forget"),
        (Losses(1.0, -0.5), "forget"),  # forgetting has gone backwards
    ],
)
def test_the_side_behind_gets_the_longer_gradient(losses, behind):
    """One side has half of its way left, or twice: the lengths settle at `r_r : r_f` = 2 : 1 or 1 : 2 for alpha 1."""
    weights = settle(losses, Gramian(1.0, 0.0, 1.0), alpha=1.0)
    assert getattr(weights, behind) / sum(weights) == pytest.approx(2 / 3, abs=0.02)


def test_of_a_forget_loss_that_is_minimised_the_plain_quotient_counts():
    """NPO's loss is above 0 and falls while the model forgets."""
    weights = settle(Losses(1.0, 0.5), Gramian(1.0, 0.0, 1.0), alpha=1.0, start=Losses(1.0, 1.0))
    assert weights.retain / sum(weights) == pytest.approx(2 / 3, abs=0.02)


@pytest.mark.parametrize("first", [Losses(0.0, 0.0), Losses(0.0, -0.0), Losses(1e-320, -1e-320), Losses(1e300, -1e300)])
@pytest.mark.parametrize("then", [Losses(0.0, 0.0), Losses(5.0, -5.0), Losses(-1.0, 1.0), Losses(1e300, -1e300)])
def test_losses_at_zero_and_through_zero(first, then):
    state = {}
    for losses in (first, then, first, then):
        weights = weigh(GRADNORM, losses, Gramian(2.0, 0.0, 3.0), state=state)
        assert all(0.0 <= w <= 2.0 for w in weights)
        assert sum(weights) == pytest.approx(2.0)


def test_a_memorised_forget_set_is_behind_until_its_loss_rises():
    """The first loss is exactly 0: nats above it count as progress, not as falling behind."""
    assert settle(Losses(1.0, -3.0), Gramian(1.0, 0.0, 1.0), alpha=1.0, start=Losses(1.0, 0.0)).retain > 1.9


def test_a_weight_of_zero_comes_back():
    state = {"initial": [1.0, -1.0], "weights": [0.0, 2.0]}
    k = Gramian(1.0, 0.0, 1.0)
    assert weigh(GRADNORM, Losses(1.0, -1.0), k, state=state) == Weights(0.0, 2.0)
    assert weigh(GRADNORM, Losses(1.0, -1.0), k, state=state).retain > 0.0


def test_where_both_would_fall_to_zero_the_weights_stay():
    """With alpha below 1 the targets add up to less than the lengths, so that both can be too long."""
    state = {}
    parameters = {"alpha": 0.5, "lr": 1e6}
    losses = Losses(1.0, -1.5)
    weigh(GRADNORM, Losses(1.0, -1.0), Gramian(1.0, 0.0, 1.0), state=state, parameters=parameters)
    state["weights"] = [1.06, 0.94]
    # Lengths 1.06 and 0.94, r = (1.2, 0.8): targets sqrt(1.2) = 1.095 and sqrt(0.8) = 0.894: one above, one below.
    weigh(GRADNORM, losses, Gramian(1.0, 0.0, 1.0), state=state, parameters=parameters)
    assert state["weights"] == [2.0, 0.0]
    # At lengths 1.1 and 0.9 both are above their targets: without the rule 0/0.
    state["weights"] = [1.1, 0.9]
    weigh(GRADNORM, losses, Gramian(1.0, 0.0, 1.0), state=state, parameters=parameters)
    assert state["weights"] == [1.1, 0.9]


def test_its_steps_are_as_long_as_the_gradients():
    """Not scale-free, as in the original."""
    changes = []
    for factor in (1.0, 10.0):
        state = {}
        weigh(GRADNORM, Losses(1.0, -1.0), Gramian(4.0 * factor**2, 0.0, 1.0 * factor**2), state=state)
        changes.append(1.0 - state["weights"][0])
    assert changes[1] == pytest.approx(10 * changes[0], rel=0.2)


@pytest.mark.parametrize(
    ("parameters", "message"),
    [
        ({"alpha": -0.1}, "alpha = -0.1 is below 0"),
        ({"lr": 0.0}, r"lr = 0.0 is not above 0"),
        ({"lr": -1.0}, "lr = -1.0"),
    ],
)
def test_parameters_out_of_range_are_refused(parameters, message):
    with pytest.raises(InputError, match=message):
        weigh(GRADNORM, Losses(1.0, -1.0), Gramian(1.0, 0.0, 1.0), parameters=parameters)
