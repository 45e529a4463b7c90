"""Entries chosen by a rule, against NumPy in double precision; in place, in pieces, in fewer bits."""

import numpy as np
import pytest
import torch

from ngdiff.core import by_entries, choose_entries, combine
from ngdiff.weighting import WEIGHTINGS

RULES = {name: row.entries for name, row in WEIGHTINGS.items() if row.entries is not None}


def twin(name: str, r: np.ndarray, f: np.ndarray) -> np.ndarray:
    """Signs compared as numbers, zero being neither."""
    opposite = np.sign(r) * np.sign(f) == -1
    return np.where(opposite, r, f if name == "sago" else r + f)


def pair(seed: int, shape: tuple[int, ...] = (7, 5)) -> tuple[torch.Tensor, torch.Tensor]:
    """With zeros on either side and on both, and entries whose product is 0 in double precision."""
    g = torch.Generator().manual_seed(seed)
    r, f = (torch.randn(*shape, generator=g, dtype=torch.float64) for _ in range(2))
    r.view(-1)[[0, 1, 2]] = torch.tensor([0.0, 2.0, 0.0], dtype=torch.float64)
    f.view(-1)[[0, 1, 2]] = torch.tensor([3.0, 0.0, 0.0], dtype=torch.float64)
    r.view(-1)[[3, 4]], f.view(-1)[[3, 4]] = 1e-200, torch.tensor([-1e-200, 1e-200], dtype=torch.float64)
    return r, f


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("piece", [1, 11, 1 << 22])
def test_the_sum_of_what_is_chosen_is_that_of_the_twin(name, piece, monkeypatch):
    monkeypatch.setattr(by_entries, "_CHUNK", piece)
    r, f = pair(0)
    expected = twin(name, r.numpy().copy(), f.numpy().copy())
    moving = ((r != 0) | (f != 0)).numpy()
    opposite = (r.sign() * f.sign() == -1).numpy()
    retain, forget = choose_entries([r], [f], RULES[name])
    (out,) = combine([r], [f], 1.0, 1.0)
    assert out is r
    assert np.array_equal(out.numpy(), expected)
    assert forget == pytest.approx((moving & ~opposite).sum() / moving.sum())
    assert retain == pytest.approx(opposite.sum() / moving.sum() if name == "sago" else 1.0)


@pytest.mark.parametrize("name", RULES)
def test_the_retain_loss_rises_along_no_entry(name):
    for seed in range(5):
        r, f = pair(seed)
        before = r.clone()
        choose_entries([r], [f], RULES[name])
        assert bool((before * (r + f) >= 0).all())


def test_a_gradient_that_is_not_there_is_zero_everywhere():
    one, other, small = torch.tensor([1.0, -2.0]), torch.tensor([3.0, 4.0]), torch.tensor(-5.0)
    retain, forget = choose_entries([one, None, small, None], [None, other, None, None], RULES["sago"])
    assert one.tolist() == [0.0, 0.0]  # the forget gradient's zeros are taken
    assert other.tolist() == [3.0, 4.0]
    assert small.item() == 0.0
    assert (retain, forget) == (0.0, 1.0)
    assert choose_entries([None], [None], RULES["sago"]) == (0.0, 0.0)
    assert choose_entries([torch.zeros(2)], [torch.zeros(2)], RULES["sago"]) == (0.0, 0.0)


@pytest.mark.parametrize("waits", ["retain", "forget"])
def test_a_side_kept_in_fewer_bits_keeps_its_signs(waits):
    r, f = (g.float() for g in pair(2))
    expected = twin("sago", r.numpy().copy(), f.numpy().copy())
    r, f = (r.bfloat16(), f) if waits == "retain" else (r, f.bfloat16())
    choose_entries([r], [f], RULES["sago"])
    (out,) = combine([r], [f], 1.0, 1.0)
    assert out.dtype == torch.float32
    np.testing.assert_allclose(out.numpy(), expected, rtol=2**-8)


def test_gradients_that_are_not_contiguous_are_written_in_place():
    r, f = (g.t() for g in pair(3))
    expected = twin("sago", r.numpy().copy(), f.numpy().copy())
    choose_entries([r], [f], RULES["sago"])
    assert np.array_equal((r + f).numpy(), expected)
