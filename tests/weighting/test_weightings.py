"""Every weighting: its closed form, its behaviour under scale, Lemma 4 and its peers."""

import importlib.util
import math
import random
from pathlib import Path

import pytest
import scipy.optimize
import scipy.stats
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ngdiff.core import Gramian, choose_entries, combine, gramian
from ngdiff.errors import InputError
from ngdiff.weighting import WEIGHTINGS, Losses, Weights, weigh
from ngdiff.weighting.base import NotWeightsError

# Under --import-mode=importlib a test cannot import its neighbour by name.
_spec = importlib.util.spec_from_file_location("weighting_cases", Path(__file__).with_name("cases.py"))
_module = importlib.util.module_from_spec(_spec)
_spec.loader.exec_module(_module)
CASES = _module.CASES

LOSSES = Losses(0.3, -2.0)
ROWS = [pytest.param(name, case, id=f"{name}-{case.parameters}") for name in CASES for case in CASES[name]]


def missing_cases(table) -> set[str]:
    return set(table) - set(CASES)


def test_every_weighting_has_a_case():
    assert not missing_cases(WEIGHTINGS)
    assert not set(CASES) - set(WEIGHTINGS)


def test_the_guard_notices_a_weighting_without_a_case():
    assert missing_cases({**WEIGHTINGS, "new": WEIGHTINGS["gd"]}) == {"new"}


@pytest.mark.parametrize(("name", "case"), [row for row in ROWS if row.values[1].closed_form])
@pytest.mark.parametrize(
    "vectors",
    [((3.0, 4.0), (1.0, 0.0)), ((1e-3, 0.0), (-5.0, 2.0)), ((2.0, 2.0), (-2.0, -2.0)), ((1e9, 1e9), (1e-9, -3e-9))],
)
def test_closed_form(name, case, vectors):
    r, f = (torch.tensor(v, dtype=torch.float64) for v in vectors)
    k = gramian([r], [f])
    weights = weigh(WEIGHTINGS[name], LOSSES, k, parameters=case.parameters)
    expected = case.closed_form(Gramian(a=float(r @ r), s=float(r @ f), b=float(f @ f)), LOSSES)
    assert weights == pytest.approx(expected, rel=1e-12)


def unit(name, weights, r, f):
    rule = WEIGHTINGS[name].entries
    r, f = r.clone(), f.clone()
    if rule is not None:
        choose_entries([r], [f], rule)
    d = weights.retain * r + weights.forget * f
    return d / d.norm()


@pytest.mark.parametrize(("name", "case"), ROWS)
def test_rescaling_one_gradient(name, case):
    r, f = torch.tensor([3.0, 4.0], dtype=torch.float64), torch.tensor([1.0, -2.0], dtype=torch.float64)
    step = unit(name, weigh(WEIGHTINGS[name], LOSSES, gramian([r], [f]), parameters=case.parameters), r, f)
    weights = weigh(WEIGHTINGS[name], LOSSES, gramian([r], [100 * f]), parameters=case.parameters)
    rescaled = unit(name, weights, r, 100 * f)
    one_sided = 0.0 in weights
    assert torch.allclose(step, rescaled, atol=1e-9) is (case.scale_free or one_sided)


@pytest.mark.parametrize(("name", "case"), ROWS)
@pytest.mark.parametrize("factor", [1e-12, 1e12])
def test_rescaling_both_gradients_changes_no_direction(name, case, factor):
    """In a first step. GradNorm's later ones depend on the scale: test_gradnorm.py."""
    r, f = torch.tensor([3.0, 4.0], dtype=torch.float64), torch.tensor([1.0, -2.0], dtype=torch.float64)
    step = unit(name, weigh(WEIGHTINGS[name], LOSSES, gramian([r], [f]), parameters=case.parameters), r, f)
    weights = weigh(WEIGHTINGS[name], LOSSES, gramian([factor * r], [factor * f]), parameters=case.parameters)
    assert torch.allclose(step, unit(name, weights, r, f), atol=1e-12)


@pytest.mark.parametrize(("name", "case"), ROWS)
def test_swapping_the_sides(name, case):
    state, swapped_state = {}, {}
    same = True
    for step, (a, s, b) in enumerate([(4.0, -1.0, 0.5), (2.0, -0.3, 9.0), (1.0, 0.5, 1.5)]):
        context = {"step": step, "parameters": case.parameters}
        losses = Losses(0.3 + step, -2.0 - 5 * step)
        weights = weigh(WEIGHTINGS[name], losses, Gramian(a, s, b), state=state, **context)
        swapped = weigh(
            WEIGHTINGS[name], Losses(losses.forget, losses.retain), Gramian(b, s, a), state=swapped_state, **context
        )
        same = same and (swapped.forget, swapped.retain) == pytest.approx(weights, rel=1e-12)
    assert same is case.symmetric


@pytest.mark.parametrize(("name", "case"), ROWS)
def test_who_says_not_to_read_the_dot_product_does_not(name, case):
    """The mode that recomputes gradients relies on it: it has no dot product when it asks for the weights."""
    if not WEIGHTINGS[name].uses_dot:
        without, with_dot = (
            weigh(WEIGHTINGS[name], LOSSES, Gramian(4.0, s, 9.0), step=3, parameters=case.parameters)
            for s in (math.nan, -5.0)
        )
        assert without == with_dot
    else:
        agree, conflict = (
            weigh(WEIGHTINGS[name], LOSSES, Gramian(4.0, s, 9.0), step=3, parameters=case.parameters)
            for s in (5.0, -5.0)
        )
        assert agree != conflict


def products(norm_r: float, norm_f: float, cosine: float) -> Gramian:
    return Gramian(a=norm_r**2, s=cosine * norm_r * norm_f, b=norm_f**2)


EXTREME_NORMS = st.one_of(st.just(0.0), st.floats(-150, 150).map(lambda x: 10.0**x))
EXTREME_LOSSES = st.one_of(st.just(0.0), st.floats(-1e300, 1e300), st.floats(-1e-300, 1e-300))


@settings(max_examples=200, deadline=None)
@given(
    norms=st.tuples(EXTREME_NORMS, EXTREME_NORMS),
    cosine=st.one_of(st.sampled_from([-1.0, 0.0, 1.0]), st.floats(-1, 1)),
    losses=st.tuples(EXTREME_LOSSES, EXTREME_LOSSES),
)
def test_extreme_gradients_and_losses_give_finite_weights_or_a_named_error(norms, cosine, losses):
    for name in WEIGHTINGS:
        state = {}
        for step in range(3):
            try:
                weights = weigh(WEIGHTINGS[name], Losses(*losses), products(*norms, cosine), step=step, state=state)
            except NotWeightsError as error:
                assert "weights must be finite" in str(error)  # noqa: PT017 - either outcome is right
                assert CASES[name][0].quotient
                continue
            assert all(math.isfinite(w) for w in weights)
            assert CASES[name][0].negative or min(weights) >= 0.0


@settings(max_examples=100, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    exponents=st.tuples(st.integers(-30, 30), st.integers(-30, 30)),
    relation=st.sampled_from(["random", "same", "opposite", "nearly opposite", "zero retain", "zero forget"]),
)
def test_lemma_4(seed, exponents, relation):
    """Neither minimised loss rises to first order along the step, within fp32 rounding of its two parts."""
    g = torch.Generator().manual_seed(seed)
    r = torch.randn(50, generator=g, dtype=torch.float64)
    f = {
        "random": torch.randn(50, generator=g, dtype=torch.float64),
        "same": r * 3,
        "opposite": -r,
        "nearly opposite": -r + 1e-4 * torch.randn(50, generator=g, dtype=torch.float64),
        "zero retain": torch.randn(50, generator=g, dtype=torch.float64),
        "zero forget": torch.zeros(50, dtype=torch.float64),
    }[relation]
    if relation == "zero retain":
        r = torch.zeros(50, dtype=torch.float64)
    r, f = (r * 10.0 ** exponents[0]).float(), (f * 10.0 ** exponents[1]).float()
    for name in (name for name, cases in CASES.items() if all(case.pareto for case in cases)):
        weights = weigh(WEIGHTINGS[name], LOSSES, gramian([r], [f]))
        (d,) = combine([r.clone()], [f.clone()], *weights)
        parts = weights.retain * float(r.double().norm()) + weights.forget * float(f.double().norm())
        for side in (r.double(), f.double()):
            assert float(side @ d.double()) >= -1e-6 * float(side.norm()) * parts
        if name == "ngdiff":
            assert float(d.norm()) <= 2.0 + 1e-5


def test_lemma_4_does_not_hold_for_a_plain_difference():
    """The property test above can fail: it does for gdiff."""
    r, f = torch.tensor([1.0, 0.0]), torch.tensor([-10.0, 1.0])
    (d,) = combine([r.clone()], [f.clone()], *weigh(WEIGHTINGS["gdiff"], LOSSES, gramian([r], [f])))
    assert float(r @ d) < -1.0


@pytest.mark.parametrize("name", WEIGHTINGS)
def test_a_vanished_gradient_gets_no_weight_and_divides_nothing(name):
    retain_gone = weigh(WEIGHTINGS[name], LOSSES, Gramian(a=0.0, s=0.0, b=4.0))
    forget_gone = weigh(WEIGHTINGS[name], LOSSES, Gramian(a=4.0, s=0.0, b=0.0))
    assert retain_gone.retain == 0.0
    assert forget_gone.forget == 0.0
    assert all(math.isfinite(w) for w in (*retain_gone, *forget_gone))
    assert weigh(WEIGHTINGS[name], LOSSES, Gramian(a=0.0, s=0.0, b=0.0)) == (0.0, 0.0)


@pytest.mark.parametrize("cosine", [-1.0, -0.9, 0.0, 0.5, 1.0])
def test_ngdiff_and_imtl_g_share_a_direction(cosine):
    """The paper does not say so; their lengths differ by `|g_r| |g_f| / (|g_r| + |g_f|)`."""
    for norm_r, norm_f in [(1.0, 1.0), (1e-9, 1e9), (3.0, 1e-5)]:
        k = products(norm_r, norm_f, cosine)
        ours, theirs = (weigh(WEIGHTINGS[name], LOSSES, k) for name in ("ngdiff", "imtl-g"))
        length = norm_r * norm_f / (norm_r + norm_f)
        assert theirs == pytest.approx((length * ours.retain, length * ours.forget), rel=1e-12)


def test_pcgrad_as_printed_is_one_sided():
    """The retain loss never rises to first order, the forget loss may: it does where `b + s < s^2/a`."""
    k = Gramian(a=1.0, s=-0.9, b=1.0)
    one_sided, both = (weigh(WEIGHTINGS[name], LOSSES, k) for name in ("pcgrad", "pcgrad-symmetric"))
    assert one_sided.retain * k.a + one_sided.forget * k.s >= 0.0
    assert one_sided.retain * k.s + one_sided.forget * k.b < -0.1
    assert both.retain * k.a + both.forget * k.s >= 0.0
    assert both.retain * k.s + both.forget * k.b >= 0.0


@pytest.mark.parametrize("norms", [(1.0, 1.0), (1e-8, 1e8), (1e8, 1e-8)])
@pytest.mark.parametrize("cosine", [-1.0, -0.5, 0.0, 1.0])
def test_pcgrad_never_raises_the_retain_loss(norms, cosine):
    k = products(*norms, cosine)
    weights = weigh(WEIGHTINGS["pcgrad"], LOSSES, k)
    assert weights.retain * k.a + weights.forget * k.s >= -1e-15 * norms[0] * norms[1]


def random_pair(seed):
    g = torch.Generator().manual_seed(seed)
    return (torch.randn(6, generator=g, dtype=torch.float64) for _ in range(2))


def step_of(name, r, f, **parameters):
    weights = weigh(WEIGHTINGS[name], LOSSES, gramian([r], [f]), parameters=parameters)
    return weights.retain * r + weights.forget * f


@pytest.mark.parametrize("seed", range(8))
def test_blur_is_the_forget_gradient_and_what_of_the_other_does_not_touch_it(seed):
    r, f = random_pair(seed)
    unit_f = f / f.norm()
    apart = r - (r @ unit_f) * unit_f
    torch.testing.assert_close(step_of("blur", r, f, gamma=0.5), apart + 0.5 * f)
    # The forget objective falls as fast as without a retain set, whatever that asks for.
    assert float(f @ step_of("blur", r, f)) == pytest.approx(float(f @ f))
    assert float(f @ step_of("blur", r - 9 * f, f)) == pytest.approx(float(f @ f))


def test_blur_may_raise_the_retain_loss():
    r, f = torch.tensor([1.0, 0.1], dtype=torch.float64), torch.tensor([-1.0, 0.0], dtype=torch.float64)
    assert float(r @ step_of("blur", r, f)) < -0.9


@pytest.mark.parametrize("seed", range(8))
def test_gru_is_the_nearest_direction_that_does_not_raise_the_retain_loss(seed):
    """The projection of `g_f` onto `{d: g_r . d >= 0}`, by a solver that knows nothing of its formula."""
    r, f = random_pair(seed)
    nearest = scipy.optimize.minimize(
        lambda d: ((d - f.numpy()) ** 2).sum(),
        f.numpy(),
        constraints={"type": "ineq", "fun": lambda d: r.numpy() @ d},
        method="SLSQP",
        options={"ftol": 1e-14},
    )
    torch.testing.assert_close(step_of("gru", r, f), torch.from_numpy(nearest.x), rtol=0, atol=1e-5)


def test_gru_is_pcgrad_without_the_retain_gradient():
    r, f = torch.tensor([1.0, 0.0], dtype=torch.float64), torch.tensor([-2.0, 3.0], dtype=torch.float64)
    weights = weigh(WEIGHTINGS["pcgrad"], LOSSES, gramian([r], [f]))
    torch.testing.assert_close(step_of("gru", r, f) + r, step_of("pcgrad", r, f) / weights.forget)


@pytest.mark.parametrize(
    ("losses", "expected"),
    [
        ((0.0, -3.0), (1.0, 0.0)),  # the limit: 1/|l_r| outgrows everything
        ((0.3, 0.0), (0.0, 1.0)),
        ((0.0, 0.0), (0.5, 0.5)),
        ((1e-320, -1e-320), (0.5, 0.5)),
        ((1.5e308, -1.5e308), (0.5, 0.5)),
    ],
)
def test_lossnorm_divides_by_no_loss(losses, expected):
    assert weigh(WEIGHTINGS["lossnorm"], Losses(*losses), Gramian(1.0, 0.0, 1.0)) == pytest.approx(expected)


def draws(seed, steps):
    k = Gramian(1.0, 0.0, 1.0)
    return [weigh(WEIGHTINGS["rlw"], LOSSES, k, step=step, seed=seed) for step in steps]


def test_rlw_is_a_function_of_seed_and_step():
    state = (torch.get_rng_state(), random.getstate())
    assert draws(0, range(20)) == draws(0, range(20))
    assert draws(0, range(20))[13:] == draws(0, range(13, 20))
    assert len({*draws(0, range(20)), *draws(1, range(20))}) == 40
    assert torch.equal(torch.get_rng_state(), state[0])
    assert random.getstate() == state[1]


def test_rlw_is_a_softmax_of_two_normal_draws():
    """Then the logarithm of `w_r / w_f` is the difference of two N(0, 1): N(0, 2)."""
    weights = draws(3, range(2000))
    assert all(w.retain + w.forget == pytest.approx(1.0) for w in weights)
    logs = [math.log(w.retain / w.forget) for w in weights]
    assert scipy.stats.kstest(logs, scipy.stats.norm(scale=math.sqrt(2)).cdf).pvalue > 0.01
    neighbours = scipy.stats.pearsonr(logs[:-1], logs[1:]).statistic
    assert abs(neighbours) < 0.07  # three standard errors of 2000 independent draws


@pytest.mark.parametrize("gamma", [0.0, -1.0, math.nan])
def test_blur_refuses_gamma_out_of_range(gamma):
    with pytest.raises(InputError, match=r"gamma = .* is not above 0"):
        weigh(WEIGHTINGS["blur"], LOSSES, Gramian(1.0, 0.0, 1.0), parameters={"gamma": gamma})


@pytest.mark.parametrize("c", [-0.1, 1.1, math.nan])
def test_gdiff_refuses_c_outside_its_range(c):
    with pytest.raises(InputError, match=r"c = .* is not in \[0, 1\]"):
        weigh(WEIGHTINGS["gdiff"], LOSSES, Gramian(1.0, 0.0, 1.0), parameters={"c": c})


def test_unknown_parameters_are_refused():
    with pytest.raises(ValueError, match="ngdiff takes no c; its parameters are: none"):
        weigh(WEIGHTINGS["ngdiff"], LOSSES, Gramian(1.0, 0.0, 1.0), parameters={"c": 0.5})


def test_weights_that_are_not_numbers_are_refused():
    from dataclasses import replace

    broken = replace(WEIGHTINGS["gd"], function=lambda losses, gramian: (math.inf, 0.0))
    with pytest.raises(ValueError, match="weights must be finite"):
        weigh(broken, LOSSES, Gramian(1.0, 0.0, 1.0))


@pytest.mark.parametrize("answer", [None, 1.0, (1.0,), (1.0, 2.0, 3.0), ("a", "b")])
def test_weights_that_are_no_two_numbers_are_refused(answer):
    from dataclasses import replace

    broken = replace(WEIGHTINGS["gd"], function=lambda losses, gramian: answer, name="mine")
    with pytest.raises(NotWeightsError, match=r"the weighting mine returned .*; it must return two numbers"):
        weigh(broken, LOSSES, Gramian(1.0, 0.0, 1.0))


def test_weights_may_be_tensors():
    from dataclasses import replace

    weighting = replace(WEIGHTINGS["gd"], function=lambda losses, gramian: torch.tensor([1.0, 2.0]))
    assert weigh(weighting, LOSSES, Gramian(1.0, 0.0, 1.0)) == Weights(1.0, 2.0)


def test_context_reaches_those_who_ask():
    from dataclasses import replace

    seen = {}

    def stateful(losses, gramian, *, step, state):
        seen.update(step=step)
        state["calls"] = state.get("calls", 0) + 1
        return 1.0, 1.0

    state: dict = {}
    weighting = replace(WEIGHTINGS["gd"], function=stateful)
    weigh(weighting, LOSSES, Gramian(1.0, 0.0, 1.0), step=7, state=state)
    assert seen == {"step": 7}
    assert state == {"calls": 1}
    assert weighting.parameters == {}
