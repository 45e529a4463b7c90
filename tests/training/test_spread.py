"""Some rows of a set, evenly spread."""

from hypothesis import given
from hypothesis import strategies as st

from ngdiff.training.spread import spread


@given(total=st.integers(1, 1000), count=st.integers(1, 1000))
def test_rows_are_spread_over_the_set(total, count):
    chosen = spread(total, count)
    assert len(chosen) == len(set(chosen)) == min(total, count)
    assert chosen == sorted(chosen)
    assert chosen[0] == 0
    gaps = [after - before for before, after in zip(chosen, [*chosen[1:], total], strict=True)]
    assert max(gaps) - min(gaps) <= 1
