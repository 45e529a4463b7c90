"""Every weighting: its closed form, its behaviour under scale, Lemma 4 and its peers."""

import importlib.util
import math
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ngdiff.core import Gramian, combine, gramian
from ngdiff.errors import InputError
from ngdiff.weighting import WEIGHTINGS, Losses, weigh

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


@pytest.mark.parametrize(("name", "case"), ROWS)
@pytest.mark.parametrize("vectors", [((3.0, 4.0), (1.0, 0.0)), ((1e-3, 0.0), (-5.0, 2.0)), ((2.0, 2.0), (-2.0, -2.0))])
def test_closed_form(name, case, vectors):
    r, f = (torch.tensor(v, dtype=torch.float64) for v in vectors)
    k = gramian([r], [f])
    weights = weigh(WEIGHTINGS[name], LOSSES, k, parameters=case.parameters)
    expected = case.closed_form(Gramian(a=float(r @ r), s=float(r @ f), b=float(f @ f)))
    assert weights == pytest.approx(expected, rel=1e-12)


def unit(weights, r, f):
    d = weights.retain * r + weights.forget * f
    return d / d.norm()


@pytest.mark.parametrize(("name", "case"), ROWS)
def test_rescaling_one_gradient(name, case):
    r, f = torch.tensor([3.0, 4.0], dtype=torch.float64), torch.tensor([1.0, -2.0], dtype=torch.float64)
    step = unit(weigh(WEIGHTINGS[name], LOSSES, gramian([r], [f]), parameters=case.parameters), r, f)
    weights = weigh(WEIGHTINGS[name], LOSSES, gramian([r], [100 * f]), parameters=case.parameters)
    rescaled = unit(weights, r, 100 * f)
    one_sided = 0.0 in weights
    assert torch.allclose(step, rescaled, atol=1e-9) is (case.scale_free or one_sided)


@settings(max_examples=100, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    exponents=st.tuples(st.integers(-30, 30), st.integers(-30, 30)),
    relation=st.sampled_from(["random", "same", "opposite", "nearly opposite", "zero retain", "zero forget"]),
)
def test_lemma_4(seed, exponents, relation):
    """Neither minimised loss rises to first order along NGDiff's step, within fp32 rounding of the lengths."""
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
        for side in (r.double(), f.double()):
            assert float(side @ d.double()) >= -1e-6 * float(side.norm())
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


def test_ngdiff_is_parallel_to_imtl_g_of_torchjd():
    """Two tasks: IMTL-G has NGDiff's direction (their lengths differ). TorchJD is the independent peer."""
    torchjd = pytest.importorskip("torchjd.aggregation", reason="needs the torchjd extra")
    peer = torchjd.IMTLGWeighting()
    g = torch.Generator().manual_seed(0)
    for scale in (1e-4, 1.0, 1e4):
        r = torch.randn(30, generator=g, dtype=torch.float64)
        f = torch.randn(30, generator=g, dtype=torch.float64) * scale
        k = gramian([r], [f])
        matrix = torch.tensor([[k.a, k.s], [k.s, k.b]], dtype=torch.float64)
        theirs = peer(matrix)
        ours = weigh(WEIGHTINGS["ngdiff"], LOSSES, k)
        assert float(theirs[0] / theirs[1]) == pytest.approx(ours.retain / ours.forget, rel=1e-6)


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
