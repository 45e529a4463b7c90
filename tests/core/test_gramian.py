"""The Gramian against double precision, over scales that fp32 squares cannot hold."""

import math

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ngdiff.core import Gramian, gramian, inner_products
from ngdiff.core.inner_products import chunks_of


def pair(seed: int, scale_r: float, scale_f: float, dtype: torch.dtype = torch.float32):
    g = torch.Generator().manual_seed(seed)
    shapes = [(7, 5), (11,), (), (3, 2, 2)]
    r = [(torch.randn(s, generator=g, dtype=torch.float64) * scale_r).to(dtype) for s in shapes]
    f = [(torch.randn(s, generator=g, dtype=torch.float64) * scale_f).to(dtype) for s in shapes]
    return r, f


def twin(r, f) -> tuple[float, float, float]:
    flat_r = torch.cat([x.double().reshape(-1) for x in r])
    flat_f = torch.cat([x.double().reshape(-1) for x in f])
    return float(flat_r @ flat_r), float(flat_r @ flat_f), float(flat_f @ flat_f)


@settings(max_examples=60, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    exponents=st.tuples(st.integers(-36, 36), st.integers(-36, 36)),
)
def test_agrees_with_double_precision_at_every_scale(seed, exponents):
    r, f = pair(seed, 10.0 ** exponents[0], 10.0 ** exponents[1])
    a, s, b = twin(r, f)
    k = gramian(r, f)
    assert k.a == pytest.approx(a, rel=1e-5)
    assert k.b == pytest.approx(b, rel=1e-5)
    # The dot product cancels: its error is measured against the lengths.
    assert k.s == pytest.approx(s, abs=1e-5 * math.sqrt(a * b))


@pytest.mark.parametrize(
    ("dtype", "tolerance"), [(torch.float64, 1e-14), (torch.float32, 1e-6), (torch.bfloat16, 1e-6)]
)
def test_accumulates_in_at_least_fp32(dtype, tolerance):
    r, f = pair(3, 1.0, 5.0, dtype)
    k = gramian(r, f)
    assert (k.a, k.s, k.b) == pytest.approx(twin(r, f), rel=tolerance, abs=tolerance)


def test_bf16_sums_do_not_stagnate():
    ones = [torch.ones(100_000, dtype=torch.bfloat16)]
    assert gramian(ones, ones).a == 100_000


@pytest.mark.parametrize("scale", [1.0, 1e-30])
def test_pieces_add_up(scale):
    r, f = pair(5, scale, 1.0)
    whole = gramian(r, f)
    with chunks_of(4):
        parts = gramian(r, f)
    assert (parts.a, parts.s, parts.b) == pytest.approx((whole.a, whole.s, whole.b), rel=1e-6)


def test_norm_of_a_combination():
    r, f = pair(6, 1.0, 1e3)
    k = gramian(r, f)
    for w_r, w_f in [(1.0, 0.0), (0.3, -2.0), (-1.0, 1e-3), (0.0, 0.0)]:
        expected = math.sqrt(sum(float((w_r * x + w_f * y).double().square().sum()) for x, y in zip(r, f, strict=True)))
        assert k.norm_of(w_r, w_f) == pytest.approx(expected, rel=1e-5)


def test_norm_of_gradients_that_cancel_is_no_root_of_a_negative_number():
    assert Gramian(a=1.0, s=1.0 + 1e-9, b=1.0).norm_of(1.0, -1.0) == 0.0


def test_absent_gradients_count_as_zero():
    x, y = torch.tensor([3.0, 4.0]), torch.tensor([1.0, 1.0])
    k = gramian([x, None, x], [None, y, y])
    assert (k.a, k.s, k.b) == (50.0, 7.0, 4.0)


@pytest.mark.parametrize("g", [[], [None], [torch.zeros(3)], [torch.zeros(0)]])
def test_nothing_and_zeros(g):
    k = gramian(g, g)
    assert (k.a, k.s, k.b, k.cosine) == (0.0, 0.0, 0.0, 0.0)


@pytest.mark.parametrize("bad", [math.nan, math.inf])
def test_non_finite_gradients_show(bad):
    assert not gramian([torch.tensor([1.0, bad])], [torch.tensor([1.0, 1.0])]).is_finite


def test_cosine_stays_within_one():
    r, _ = pair(1, 1e-3, 1.0)
    for sign in (1.0, -1.0):
        assert gramian(r, [sign * x for x in r]).cosine == pytest.approx(sign, abs=1e-6)
    assert Gramian(a=1.0, s=1.0 + 1e-9, b=1.0).cosine == 1.0


def test_shards_add_up_through_reduce():
    r, f = pair(7, 1e-25, 1e22)
    whole = gramian(r, f)
    other_r, other_f = r[2:], f[2:]

    def add_other(total: torch.Tensor) -> torch.Tensor:
        """What an all-reduce with a second rank would give, at the scale the first rank asks for."""
        if total[2] == 0.0:  # the largest entries
            top = [max(float(x.abs().max()) for x in g) for g in (other_r, other_f)]
            seen["scales"] = [scale(float(t) + u) for t, u in zip(total[:2], top, strict=True)]
            return total + torch.tensor([*top, 0.0], dtype=torch.float64)
        if "scales" not in seen:  # unscaled attempt: over- and underflows whatever the other rank adds
            return total
        sr, sf = seen["scales"]
        a, s, b = twin(other_r, other_f)
        return total + torch.tensor([a / sr**2, s / sr / sf, b / sf**2], dtype=torch.float64)

    scale = inner_products._scale
    seen: dict = {}
    k = gramian(r[:2], f[:2], reduce=add_other)
    assert (k.a, k.b) == pytest.approx((whole.a, whole.b), rel=1e-5)


def test_lists_of_different_length_are_refused():
    with pytest.raises(ValueError, match="g_r has 1 tensors and g_f 2"):
        gramian([None], [None, None])
