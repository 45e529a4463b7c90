"""n-gram surprises against counting in a dictionary."""

import math
from collections import Counter

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from ngdiff.tasks.ngrams import NGrams

ids = st.lists(st.integers(0, 5), min_size=1, max_size=8)


def twin(known: list[list[int]], row: list[int], place: int) -> list[float]:
    """As the formula stands in the docstring, with tuples as keys."""
    counts = Counter(tuple(own[i : i + n]) for own in known for n in (1, 2, 3) for i in range(len(own) - n + 1))
    largest = max(map(max, known))
    p, found = 1 / (largest + 2), []
    for n in (1, 2, 3):
        history = tuple(row[max(place - n + 1, 0) : place]) if place >= n - 1 else None
        if n == 1:
            whole, before = counts[(row[place],)], sum(map(len, known))
        elif history is None:  # the row begins before
            whole, before = 0, 0
        else:
            whole, before = counts[(*history, row[place])], counts[history]
        p = (whole + 2 * p) / (before + 2)
        found.append(-math.log(p))
    return found


@given(known=st.lists(ids, min_size=1, max_size=4), row=ids, prompt=st.integers(1, 3))
def test_they_equal_counting(known, row, prompt):
    labels = [-100] * prompt + row[prompt:]
    found = NGrams([{"input_ids": own} for own in known]).surprise({"input_ids": row, "labels": labels[: len(row)]})
    expected = [twin(known, row, place) for place in range(prompt, len(row))]
    torch.testing.assert_close(found, torch.tensor(expected).reshape(-1, 3), rtol=1e-5, atol=1e-5)


def test_large_vocabularies_do_not_collide():
    """Numbers of trigrams stay below 2^63."""
    last = 262_143
    ngrams = NGrams([{"input_ids": [last, last - 1, last - 2, 0, last]}])
    seen, swapped = (
        ngrams.surprise({"input_ids": own, "labels": own})[-1, 2]
        for own in ([last, last - 1, last - 2], [last - 1, last, last - 2])
    )
    assert float(seen) == pytest.approx(-math.log((1 + 2 / 3) / 3), abs=0.3)
    assert swapped > seen + 0.3
