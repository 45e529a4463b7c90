from itertools import pairwise

from hypothesis import given
from hypothesis import strategies as st

from ngdiff.evaluation.batching import batches_by_tokens


@given(st.lists(st.integers(1, 60), max_size=40), st.integers(1, 200))
def test_every_sequence_once_within_the_budget_longest_first(lengths: list[int], budget: int) -> None:
    batches = batches_by_tokens(lengths, budget)
    order = [index for batch in batches for index in batch]
    assert sorted(order) == list(range(len(lengths)))
    assert [lengths[i] for i in order] == sorted(lengths, reverse=True)
    for batch in batches:
        assert batch
        assert len(batch) == 1 or len(batch) * max(lengths[i] for i in batch) <= budget


@given(st.lists(st.integers(1, 60), min_size=1, max_size=40), st.integers(1, 200))
def test_no_batch_closes_early(lengths: list[int], budget: int) -> None:
    batches = batches_by_tokens(lengths, budget)
    for batch, following in pairwise(batches):
        assert (len(batch) + 1) * lengths[batch[0]] > budget
        assert following


def test_nothing() -> None:
    assert batches_by_tokens([], 10) == []
