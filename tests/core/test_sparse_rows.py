"""Gradients of an embedding as rows: the same products and sums as of whole ones."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from ngdiff.core import combine, gramian
from ngdiff.core.sparse_rows import DenseBuffers, on_common_rows

ROWS = 12


def gradients(tokens: list[int], seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Of an embedding that was asked for these tokens, as rows and whole."""
    g = torch.Generator().manual_seed(seed)
    upstream = torch.randn(len(tokens), 3, generator=g, dtype=torch.float64)
    found = []
    for sparse in (True, False):
        weight = torch.zeros(ROWS, 3, dtype=torch.float64, requires_grad=True)
        torch.nn.functional.embedding(torch.tensor(tokens), weight, sparse=sparse).backward(upstream)
        found.append(weight.grad.coalesce() if sparse else weight.grad)
    return tuple(found)


tokens = st.lists(st.integers(0, ROWS - 1), min_size=1, max_size=20)


@settings(max_examples=60, deadline=None)
@given(tokens, tokens, st.tuples(st.floats(-3, 3), st.floats(-3, 3)))
def test_products_and_sums_are_those_of_whole_gradients(to_retain, to_forget, weights):
    (r, whole_r), (f, whole_f) = gradients(to_retain, 1), gradients(to_forget, 2)
    rows, r, f = on_common_rows(r, f)
    assert rows.tolist() == sorted({*to_retain, *to_forget})
    found, expected = gramian([r], [f]), gramian([whole_r], [whole_f])
    assert (found.a, found.s, found.b) == pytest.approx((expected.a, expected.s, expected.b), rel=1e-12, abs=1e-12)
    (combined,) = combine([r], [f], *weights)
    whole = DenseBuffers([whole_r]).scatter(0, rows, combined)
    (expected,) = combine([whole_r], [whole_f], *weights)
    torch.testing.assert_close(whole, expected, rtol=1e-12, atol=1e-12)


def test_one_side_alone_has_its_own_rows():
    r, _ = gradients([4, 2, 4], 0)
    rows, found, nothing = on_common_rows(r, None)
    assert (rows.tolist(), nothing) == ([2, 4], None)
    assert torch.equal(found, r.values())
    rows, nothing, found = on_common_rows(None, r)
    assert (rows.tolist(), nothing) == ([2, 4], None)


def test_beside_a_whole_gradient_both_are_whole():
    r, whole = gradients([4, 2, 4], 0)
    other = torch.ones(ROWS, 3, dtype=torch.float64)
    assert on_common_rows(None, None) == (None, None, None)
    assert on_common_rows(other, None) == (None, other, None)
    for pair, expected in (((r, other), (whole, other)), ((other, r), (other, whole))):
        rows, *found = on_common_rows(*pair)
        assert rows is None
        assert all(torch.equal(one, two) for one, two in zip(found, expected, strict=True))


def test_the_buffer_is_used_again_and_holds_nothing_of_the_step_before():
    parameter = torch.zeros(ROWS, 3)
    whole = DenseBuffers([torch.zeros(1), parameter])
    first = whole.scatter(1, torch.tensor([0, 5]), torch.ones(2, 3))
    first += 1.0  # whatever an optimizer or a probe does to its gradient
    where = first.data_ptr()
    second = whole.scatter(1, torch.tensor([7]), torch.full((1, 3), 2.0, dtype=torch.bfloat16))
    assert (second.data_ptr(), second.dtype) == (where, torch.float32)
    expected = torch.zeros(ROWS, 3)
    expected[7] = 2.0
    assert torch.equal(second, expected)
