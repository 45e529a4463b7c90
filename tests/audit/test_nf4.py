"""NF4 by bitsandbytes: sixteen values a block; without the package the attack says what it needs."""

import sys

import pytest
import torch

from ngdiff.audit import ATTACKS, NotApplicableError, run_attack
from ngdiff.audit.linear import linear_weights
from ngdiff.audit.target import Target


def test_without_the_package_it_is_not_run(bed, tiny, monkeypatch):
    monkeypatch.setitem(sys.modules, "bitsandbytes", None)
    with pytest.raises(NotApplicableError, match=r"pip install 'ngdiff\[nf4\]'"):
        run_attack(ATTACKS["nf4"], tiny(0), bed)


def test_weights_have_sixteen_values_a_block_and_the_largest_stays(bed, tiny):
    pytest.importorskip("bitsandbytes")
    model = tiny(0)
    before = [weight.clone() for weight in linear_weights(model)]
    target = Target(model)
    forms = ATTACKS["nf4"].run(target, bed)
    next(forms)
    for weight, old in zip(linear_weights(model), before, strict=True):
        for block, was in zip(weight.flatten().split(64), old.flatten().split(64), strict=True):
            assert len(torch.unique(block)) <= 16
            torch.testing.assert_close(block.abs().max(), was.abs().max())
            assert (block - was).abs().max() <= 0.16 * was.abs().max()  # half the widest gap of the grid is 0.152
    target.restore()
    assert all(torch.equal(one, two) for one, two in zip(linear_weights(model), before, strict=True))
