"""TorchJD as a peer of our own weightings, and as a source of more."""

import math
import random
import sys

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ngdiff.core import Gramian, gramian
from ngdiff.errors import InputError
from ngdiff.weighting import WEIGHTINGS, Losses, resolve_weighting, weigh
from ngdiff.weighting.base import NotWeightsError
from ngdiff.weighting.torchjd import REFUSED, TORCHJD

library = pytest.importorskip("torchjd.aggregation", reason="needs the torchjd extra")

LOSSES = Losses(0.3, -2.0)
NEEDED = {"cagrad": "(c=0.4)", "fairgrad": "(alpha=1.0)", "constant": "(weights=[1, 2])"}
NAMES = [f"torchjd:{name}{NEEDED.get(name, '')}" for name in TORCHJD]


def matrix(k: Gramian) -> torch.Tensor:
    return torch.tensor([[k.a, k.s], [k.s, k.b]], dtype=torch.float64)


def pairs(count=30):
    """Gramians of pairs of gradients of any angle whose cosine is not within 1e-6 of 1."""
    g = torch.Generator().manual_seed(0)
    for i in range(count):
        r = torch.randn(5, generator=g, dtype=torch.float64)
        f = torch.randn(5, generator=g, dtype=torch.float64) * 10.0 ** (i % 7 - 3)
        k = gramian([r], [f])
        assert k.cosine**2 < 1 - 1e-6
        yield k


# ---- as a peer ---------------------------------------------------------------------------------------------------


def test_pcgrad_symmetric_is_theirs():
    peer = library.PCGradWeighting()
    conflicts = 0
    for k in pairs():
        conflicts += k.s < 0
        assert weigh(WEIGHTINGS["pcgrad-symmetric"], LOSSES, k) == pytest.approx(peer(matrix(k)).tolist(), rel=1e-12)
    assert 5 < conflicts < 25


def test_imtl_g_is_theirs():
    peer = library.IMTLGWeighting()
    for k in pairs():
        assert weigh(WEIGHTINGS["imtl-g"], LOSSES, k) == pytest.approx(peer(matrix(k)).tolist(), rel=1e-6)


def test_ngdiff_is_parallel_to_their_imtl_g():
    peer = library.IMTLGWeighting()
    for k in pairs():
        theirs, ours = peer(matrix(k)).tolist(), weigh(WEIGHTINGS["ngdiff"], LOSSES, k)
        assert theirs[0] / theirs[1] == pytest.approx(ours.retain / ours.forget, rel=1e-6)


# ---- as a source -------------------------------------------------------------------------------------------------


def test_mgda_is_the_shortest_convex_combination():
    """For two gradients in closed form: w_r = (b - s) / (a - 2 s + b), within [0, 1]."""
    weighting = resolve_weighting("torchjd:mgda")
    inside = 0
    for k in pairs():
        w_r = min(max((k.b - k.s) / (k.a - 2 * k.s + k.b), 0.0), 1.0)
        inside += 0 < w_r < 1
        assert weigh(weighting, LOSSES, k) == pytest.approx((w_r, 1 - w_r), abs=1e-6)
    assert inside > 5


def test_upgrad_is_half_of_pcgrad_symmetric():
    """For two gradients the projection onto the dual cone is the projection off the other one.

    TorchJD adds 1e-4 to the diagonal of the normalised Gramian: they agree to about that, over the shorter one's part.
    """
    weighting = resolve_weighting("torchjd:upgrad")
    for k in pairs():
        if 0.1 < k.a / k.b < 10:
            ours = weigh(WEIGHTINGS["pcgrad-symmetric"], LOSSES, k)
            assert weigh(weighting, LOSSES, k) == pytest.approx((ours.retain / 2, ours.forget / 2), rel=5e-3)


@pytest.mark.parametrize("alpha", [0.5, 1.0, 2.0])
@pytest.mark.parametrize("scale", [1e-6, 1.0, 1e6])
def test_fairgrad_solves_its_equation_at_every_scale(alpha, scale):
    k = Gramian(2.0 * scale, -0.5 * scale, 1.0 * scale)
    w = torch.tensor(weigh(resolve_weighting(f"torchjd:fairgrad(alpha={alpha})"), LOSSES, k), dtype=torch.float64)
    assert torch.allclose(matrix(k) @ w, w ** (-1 / alpha), rtol=1e-3)


def test_a_preference_of_two_numbers():
    agree = Gramian(1.0, 0.5, 2.0)
    for name in ("dualproj", "upgrad"):
        weights = weigh(resolve_weighting(f"torchjd:{name}(pref_vector=[0.7, 0.3])"), LOSSES, agree)
        assert weights == pytest.approx((0.7, 0.3), rel=1e-9)


@pytest.mark.parametrize("name", NAMES)
def test_tiny_gradients_are_weighed_like_others(name):
    """The library itself takes a small Gramian for zero."""
    weighting = resolve_weighting(name)
    one, tiny = (
        weigh(weighting, LOSSES, Gramian(2.0 * scale, -0.9 * scale, 1.0 * scale), step=1) for scale in (1.0, 1e-14)
    )
    assert tiny.retain / tiny.forget == pytest.approx(one.retain / one.forget, rel=1e-6)


def test_the_library_alone_would_not_do_so():
    k = matrix(Gramian(2.0, -0.9, 1.0))
    peer = library.UPGradWeighting()
    assert not torch.allclose(peer(k), peer(k * 1e-14), rtol=0.1)


@pytest.mark.parametrize("name", NAMES)
def test_the_dot_product_is_read_where_the_row_says_so(name):
    weighting = resolve_weighting(name)
    agree, conflict = (weigh(weighting, LOSSES, Gramian(1.0, s, 4.0), step=4) for s in (1.5, -1.5))
    if not weighting.uses_dot:
        assert agree == conflict == weigh(weighting, LOSSES, Gramian(1.0, math.nan, 4.0), step=4)
    elif "imtl-g" not in name:  # for two gradients its weights happen not to depend on it
        assert agree != pytest.approx(conflict, rel=1e-3)


@pytest.mark.parametrize("name", NAMES)
def test_no_generator_of_the_run_is_touched(name):
    weighting = resolve_weighting(name)
    k = Gramian(1.0, -0.5, 2.0)
    before = (torch.get_rng_state(), random.getstate())
    one = weigh(weighting, LOSSES, k, step=1, seed=7)
    assert torch.equal(torch.get_rng_state(), before[0])
    assert random.getstate() == before[1]
    torch.manual_seed(99)
    assert weigh(weighting, LOSSES, k, step=1, seed=7) == one


def test_random_is_drawn_by_seed_and_step():
    weighting = resolve_weighting("torchjd:random")
    drawn = {weigh(weighting, LOSSES, Gramian(1.0, 0.0, 1.0), step=t, seed=s) for t in range(10) for s in range(3)}
    assert len(drawn) == 30


@settings(max_examples=40, deadline=None)
@given(
    exponents=st.tuples(st.floats(-150, 150), st.floats(-150, 150)),
    cosine=st.one_of(st.sampled_from([-1.0, 0.0, 1.0]), st.floats(-1, 1)),
)
def test_extreme_gradients_give_finite_weights_or_a_named_error(exponents, cosine):
    r, f = (10.0**x for x in exponents)
    for name in NAMES:
        try:
            weights = weigh(resolve_weighting(name), LOSSES, Gramian(r * r, cosine * r * f, f * f))
        except NotWeightsError as error:
            assert name in str(error)  # noqa: PT017 - either outcome is right
            continue
        assert all(math.isfinite(w) for w in weights)


@pytest.mark.parametrize("name", NAMES)
def test_vanished_gradients(name):
    weighting = resolve_weighting(name)
    assert weigh(weighting, LOSSES, Gramian(0.0, 0.0, 4.0)).retain == 0.0
    assert weigh(weighting, LOSSES, Gramian(4.0, 0.0, 0.0)).forget == 0.0
    assert weigh(weighting, LOSSES, Gramian(0.0, 0.0, 0.0)) == (0.0, 0.0)


# ---- names and errors ----------------------------------------------------------------------------------------------


def test_every_weighting_of_the_library_has_a_row_or_a_reason():
    theirs = {name for name in library.__all__ if name.endswith("Weighting") and name != "Weighting"}
    plain = {name.removesuffix("Weighting").lower() for name in theirs}
    assert plain == {row.kind.removesuffix("Weighting").lower() for row in TORCHJD.values()} | (plain & set(REFUSED))
    others = {name.lower() for name in library.__all__ if "Weight" not in name and name != "Aggregator"}
    assert others <= plain | set(REFUSED)


@pytest.mark.parametrize("name", ["UPGrad", "UPGradWeighting", "upgrad", "UP-Grad", "up_grad"])
def test_names_of_the_library_are_understood(name):
    weighting = resolve_weighting(f"torchjd:{name}")
    assert weighting.function.peer.__class__.__name__ == "UPGradWeighting"
    assert str(weighting) == f"torchjd:{name}"


@pytest.mark.parametrize("name", REFUSED)
def test_what_needs_more_than_a_gramian_is_refused_with_the_reason(name):
    with pytest.raises(InputError, match=f"torchjd:{name}: {REFUSED[name][:20]}.*Of TorchJD there are upgrad"):
        resolve_weighting(f"torchjd:{name}")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("upgrd", r"no such weighting\. Did you mean torchjd:upgrad\? Of TorchJD there are upgrad, .*random"),
        ("", r"no such weighting\. Of TorchJD there are"),
        ("cagrad", r"torchjd:cagrad: needs c, which has no default: write \(c=\.\.\.\)"),
        ("cagrad(c='much')", "c = 'much' is not a finite number"),
        ("cagrad(c=-1)", "c must be non-negative"),
        ("fairgrad(alpha=-1)", "alpha = -1.0 is below 0"),
        ("upgrad(x=1)", r"takes no x; its parameters are: pref_vector \(default None\)"),
        ("upgrad(projector='x')", "takes no projector"),
        ("upgrad(pref_vector=[1, 2, 3])", r"pref_vector = \[1, 2, 3\] is not two numbers in brackets"),
        ("aligned-mtl(scale_mode='most')", "Invalid scale_mode='most'"),
        ("mgda(max_iters=2.5)", "max_iters = 2.5 is not a whole number"),
        ("mean(x=1)", "takes no x; its parameters are: none"),
    ],
)
def test_errors_name_what_was_found(text, message):
    with pytest.raises(InputError, match=message):
        resolve_weighting(f"torchjd:{text}")


def test_without_the_package_the_extra_is_named(monkeypatch):
    monkeypatch.setitem(sys.modules, "torchjd", None)
    with pytest.raises(InputError, match=r'torchjd:mgda: needs the package torchjd: pip install "ngdiff\[torchjd\]"'):
        resolve_weighting("torchjd:mgda")


@pytest.mark.parametrize(("name", "solver"), [("upgrad", "quadprog"), ("cagrad(c=0.4)", "cvxpy")])
def test_without_a_solver_the_extra_is_named(monkeypatch, name, solver):
    monkeypatch.setitem(sys.modules, solver, None)
    with pytest.raises(InputError, match=rf'a solver is missing: pip install "ngdiff\[torchjd\]" .*{solver}'):
        resolve_weighting(f"torchjd:{name}")
