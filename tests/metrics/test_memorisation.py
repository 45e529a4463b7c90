import pytest
from hypothesis import given
from hypothesis import strategies as st

from ngdiff.errors import InputError
from ngdiff.metrics import exact_memorisations, extraction_strengths

HITS = st.lists(st.sampled_from([0, 1]), min_size=1, max_size=12)


@given(HITS)
def test_extraction_strength_is_its_definition(hits: list[int]) -> None:
    n = len(hits)
    fewest = next(k for k in range(n + 1) if all(hits[k:]))  # k = n: nothing is left to be right
    assert extraction_strengths([{"token_hit": hits}]) == [pytest.approx(1 - fewest / n)]


@given(HITS)
def test_extraction_is_at_most_memorisation(hits: list[int]) -> None:
    record = [{"token_hit": hits}]
    assert exact_memorisations(record) == [pytest.approx(sum(hits) / len(hits))]
    assert extraction_strengths(record)[0] <= exact_memorisations(record)[0]


def test_worked_by_hand() -> None:
    records = [{"token_hit": hits} for hits in ([1, 1], [0, 0], [1, 0], [0, 1, 1, 1])]
    assert exact_memorisations(records) == [1.0, 0.0, 0.5, 0.75]
    # the third: with its last token wrong nothing can be extracted, however much was right before
    assert extraction_strengths(records) == [1.0, 0.0, 0.0, 0.75]


@pytest.mark.parametrize("metric", [exact_memorisations, extraction_strengths])
def test_no_tokens(metric) -> None:
    with pytest.raises(InputError, match="row 3: token_hit is empty; memorisation needs at least one token"):
        metric([{"origin": "row 3", "token_hit": []}])
