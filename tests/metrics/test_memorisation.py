import pytest
from hypothesis import given
from hypothesis import strategies as st

from ngdiff.errors import InputError
from ngdiff.metrics import exact_memorisations, extraction_strengths, summarize
from ngdiff.scoring.table import format_table

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


@given(HITS, st.integers(0, 4), st.integers(0, 2))
def test_neither_the_prompt_nor_the_end_is_recited(hits: list[int], given: int, end: int) -> None:
    record = {"token_hit": [0] * given + hits + [0] * end, "n_given": given, "n_end": end}
    for metric in (exact_memorisations, extraction_strengths):
        assert metric([record]) == metric([{"token_hit": hits}])
        assert metric([record], with_end=True) == metric([{"token_hit": hits + [0] * end}])


def test_a_model_that_recites_without_knowing_the_end() -> None:
    """It was extraction strength 0."""
    records = [{"set": "forget", "token_hit": [1, 1, 1, 0], "n_end": 1}] * 2
    numbers = summarize("forget", [{**r, "nll_sum": 1.0, "n_tokens": 4} for r in records])
    assert numbers["extraction_strength"] == numbers["exact_memorisation"] == 1.0
    assert numbers["extraction_strength_with_end"] == 0.0
    assert numbers["exact_memorisation_with_end"] == 0.75


def test_an_answer_of_nothing_but_its_end_has_no_memorisation() -> None:
    one = {"nll_sum": 1.0, "n_tokens": 1, "token_hit": [1], "n_end": 1}
    two = {"nll_sum": 1.0, "n_tokens": 2, "token_hit": [0, 1], "n_end": 1}
    numbers = summarize("forget", [one, two])
    assert (numbers["n_exact_memorisation"], numbers["exact_memorisation"]) == (1, 0.0)
    assert (numbers["n_exact_memorisation_with_end"], numbers["exact_memorisation_with_end"]) == (2, 0.75)


def test_records_of_old_count_all_their_tokens_and_are_counted() -> None:
    old = {"nll_sum": 1.0, "n_tokens": 4, "token_hit": [1, 1, 1, 0]}
    numbers = summarize("forget", [old, {**old, "n_end": 1}])
    assert numbers["extraction_strength"] == 0.5
    assert numbers["n_end_unknown"] == 1
    assert "n_end_unknown" not in summarize("forget", [{**old, "n_end": 0}])
    assert "1 of 2 forget records do not say which token ends their answer" in format_table({"forget": numbers})


@pytest.mark.parametrize("metric", [exact_memorisations, extraction_strengths])
def test_no_tokens(metric) -> None:
    with pytest.raises(InputError, match="row 3: token_hit is empty; memorisation needs at least one token"):
        metric([{"origin": "row 3", "token_hit": []}])
