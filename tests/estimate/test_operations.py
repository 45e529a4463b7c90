"""Operations of attention: torch's own table has those of GPUs."""

import pytest
import torch
from torch.nn.functional import scaled_dot_product_attention

from ngdiff.estimate.fake_run import FakeRun
from ngdiff.estimate.operations import Operations


@pytest.mark.parametrize("groups", [1, 2, 4])
def test_heads_that_share_keys_take_as_many_operations_as_heads_that_do_not(groups):
    rows, heads, tokens, width = 2, 4, 6, 8
    operations, mode = Operations(), FakeRun(torch._subclasses.FakeTensorMode())
    mode.watchers.append(operations)
    with mode.fake:
        query, key, value = (
            torch.empty(rows, number, tokens, width, requires_grad=True) for number in (heads, groups, groups)
        )
    one_product = 2 * rows * heads * tokens * tokens * width
    with mode:
        said = scaled_dot_product_attention(query, key, value, enable_gqa=groups < heads)
        assert operations.total == 2 * one_product
        said.sum().backward()
    # Backward: the scores once more, and of each of the four factors of both products.
    assert operations.total == (2 + 5) * one_product


@pytest.mark.parametrize("kind", ["flash", "efficient", "cudnn"])
@pytest.mark.parametrize("groups", [2, 4])
def test_attention_of_gpus_is_counted_alike(kind, groups):
    query, key, value = (torch.empty(2, heads, 6, 8) for heads in (4, groups, groups))
    one_product = 2 * 2 * 4 * 6 * 6 * 8
    for backward, products in (("", 2), ("_backward", 5)):
        operations = Operations()
        packet = getattr(torch.ops.aten, f"_scaled_dot_product_{kind}_attention{backward}")
        given = (query, key, value) if not backward else (query, query, key, value)
        operations(packet.default, given, None)
        assert operations.total == products * one_product
