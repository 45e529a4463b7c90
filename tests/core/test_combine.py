"""The combined gradient against double precision, and that nothing is allocated."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ngdiff.core import combine, gramian


@settings(max_examples=60, deadline=None)
@given(seed=st.integers(0, 2**16), exponents=st.tuples(st.integers(-43, 36), st.integers(-43, 36)))
def test_unit_vectors_from_gradients_of_any_scale(seed, exponents):
    g = torch.Generator().manual_seed(seed)
    # Below about 1e-38 fp32 holds fewer and fewer digits: what counts is the sum of what it holds.
    r = [(torch.randn(40, generator=g, dtype=torch.float64) * 10.0 ** exponents[0]).float()]
    f = [(torch.randn(40, generator=g, dtype=torch.float64) * 10.0 ** exponents[1]).float()]
    k = gramian(r, f)
    if k.a == 0.0 or k.b == 0.0:
        return
    expected = r[0].double() / r[0].double().norm() + f[0].double() / f[0].double().norm()
    (combined,) = combine(r, f, 1 / k.norm_r, 1 / k.norm_f)
    torch.testing.assert_close(combined.double(), expected, rtol=0, atol=2e-6)


def test_reuses_the_buffers():
    r, f, lone = torch.ones(3), torch.ones(3), torch.ones(2)
    out = combine([r, None, None], [f, lone, None], 2.0, -0.5)
    assert out[0] is r
    assert out[1] is lone
    assert out[2] is None
    assert r.tolist() == [1.5] * 3
    assert lone.tolist() == [-0.5] * 2


def test_a_side_of_weight_zero_has_no_say_even_if_infinite():
    inf = torch.tensor([float("inf")])
    assert combine([torch.ones(1)], [inf.clone()], 1.0, 0.0)[0].tolist() == [1.0]
    assert combine([inf.clone()], [torch.ones(1)], 0.0, 3.0)[0].tolist() == [3.0]
    assert combine([None], [inf.clone()], 1.0, 0.0)[0].tolist() == [0.0]


@pytest.mark.parametrize("weight", [1e-60, 1e60, -1e45])
def test_extreme_weights_do_not_overflow_on_the_way(weight):
    (out,) = combine([torch.tensor([1.0], dtype=torch.float64)], [None], weight, 0.0)
    assert out.item() == pytest.approx(weight, rel=1e-12)


@pytest.mark.parametrize("waits", ["retain", "forget"])
@pytest.mark.parametrize("weight", [0.3, 1e-40, 0.0])
def test_a_side_kept_in_fewer_bits_goes_into_the_buffer_of_the_other(waits, weight):
    g = torch.Generator().manual_seed(0)
    whole, other = torch.randn(50, generator=g), torch.randn(50, generator=g)
    kept = other.bfloat16()
    r, f = (kept, whole) if waits == "retain" else (whole, kept)
    # The weight of the side that waits is the odd one; computed from what is left of it.
    w_r, w_f = (weight, 2.0) if waits == "retain" else (2.0, weight)
    expected = w_r * r.double() + w_f * f.double()
    (out,) = combine([r], [f], w_r, w_f)
    assert out is whole
    torch.testing.assert_close(out.double(), expected, rtol=1e-6, atol=0)


def test_products_of_a_side_kept_in_fewer_bits():
    g = torch.Generator().manual_seed(0)
    r, f = torch.randn(50, generator=g), torch.randn(50, generator=g).bfloat16()
    k = gramian([r], [f])
    assert k.s == pytest.approx(float(r.double() @ f.double()), rel=1e-5)
    assert k.b == pytest.approx(float(f.double() @ f.double()), rel=1e-6)
