"""Losses, probabilities and truth ratios: worked by hand, and against formulas written out plainly."""

import math
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ngdiff.errors import InputError
from ngdiff.metrics import (
    choice_probabilities,
    choice_probability,
    forget_truth_ratio,
    forget_truth_ratio_arithmetic,
    loss,
    losses,
    probabilities,
    probability,
    retain_truth_ratio,
    retain_truth_ratio_arithmetic,
    truth_ratios,
)

LIKELIHOODS = st.builds(lambda mean, n: {"nll_sum": mean * n, "n_tokens": n}, st.floats(0, 30), st.integers(1, 50))
RECORDS = st.builds(
    lambda own, paraphrased, perturbed: {**own, "paraphrased": paraphrased, "perturbed": perturbed},
    LIKELIHOODS,
    st.none() | LIKELIHOODS,
    st.lists(LIKELIHOODS, min_size=1, max_size=5),
)


def likelihood(nll_sum: float, n_tokens: int = 1) -> dict[str, Any]:
    return {"nll_sum": nll_sum, "n_tokens": n_tokens}


def test_worked_by_hand() -> None:
    records = [likelihood(2.0, 4), likelihood(3.0, 2)]
    assert losses(records) == [0.5, 1.5]
    assert loss(records) == pytest.approx(5 / 6)
    assert probabilities(records) == pytest.approx([math.exp(-0.5), math.exp(-1.5)])
    assert probability(records) == pytest.approx((math.exp(-0.5) + math.exp(-1.5)) / 2)

    # right answer 1/2 a token, wrong ones 1/4 and 1/16: geometric mean 1/8, arithmetic mean 5/32
    record = {
        **likelihood(99.0),
        "paraphrased": likelihood(3 * math.log(2), 3),
        "perturbed": [likelihood(2 * math.log(4), 2), likelihood(math.log(16))],
    }
    assert truth_ratios([record]) == pytest.approx([1 / 4])
    assert forget_truth_ratio([record]) == pytest.approx(1 / 4)
    assert retain_truth_ratio([record]) == pytest.approx(3 / 4)
    assert forget_truth_ratio_arithmetic([record]) == pytest.approx(5 / 16)
    assert retain_truth_ratio_arithmetic([record]) == pytest.approx(11 / 16)

    # without a paraphrased answer the record's own stands in: 1/2 again, then a ratio above 1
    record = {**likelihood(math.log(2)), "paraphrased": None, "perturbed": [likelihood(0.0)]}
    assert truth_ratios([record]) == pytest.approx([2.0])
    assert forget_truth_ratio([record]) == pytest.approx(0.5)
    assert retain_truth_ratio([record]) == 0.0
    assert choice_probabilities([record]) == pytest.approx([1 / 3])


@given(st.lists(RECORDS, min_size=1, max_size=4))
def test_equals_the_formulas_written_out(records: list[dict[str, Any]]) -> None:
    geometric, arithmetic, choices = [], [], []
    for record in records:
        right = record["paraphrased"] or record
        p_right = math.exp(-right["nll_sum"] / right["n_tokens"])
        p_wrong = [math.exp(-w["nll_sum"] / w["n_tokens"]) for w in record["perturbed"]]
        geometric.append(math.prod(p_wrong) ** (1 / len(p_wrong)) / p_right)
        arithmetic.append(sum(p_wrong) / len(p_wrong) / p_right)
        p_own = math.exp(-record["nll_sum"] / record["n_tokens"])
        choices.append(p_own / (p_own + sum(p_wrong)))
    n = len(records)
    assert truth_ratios(records) == pytest.approx(geometric, rel=1e-9)
    assert forget_truth_ratio(records) == pytest.approx(sum(min(r, 1 / r) for r in geometric) / n)
    assert retain_truth_ratio(records) == pytest.approx(sum(max(0, 1 - r) for r in geometric) / n)
    assert forget_truth_ratio_arithmetic(records) == pytest.approx(sum(min(r, 1 / r) for r in arithmetic) / n)
    assert retain_truth_ratio_arithmetic(records) == pytest.approx(sum(max(0, 1 - r) for r in arithmetic) / n)
    assert choice_probability(records) == pytest.approx(sum(choices) / n)


@given(st.lists(RECORDS, min_size=1, max_size=4), st.randoms())
def test_the_order_of_records_does_not_matter(records: list[dict[str, Any]], random: Any) -> None:
    shuffled = random.sample(records, len(records))
    for metric in (loss, probability, forget_truth_ratio, retain_truth_ratio, choice_probability):
        assert metric(shuffled) == pytest.approx(metric(records), rel=1e-14)


def test_losses_whose_probabilities_underflow() -> None:
    record = {**likelihood(2000.0), "perturbed": [likelihood(2000.0), likelihood(2001.0)]}
    assert choice_probability([record]) == pytest.approx(1 / (2 + math.exp(-1)))
    far = {**likelihood(5000.0), "perturbed": [likelihood(0.0)]}
    assert truth_ratios([far]) == [math.inf]
    assert forget_truth_ratio([far]) == 0.0
    assert retain_truth_ratio([far]) == 0.0
    assert retain_truth_ratio_arithmetic([{**likelihood(0.0), "perturbed": [likelihood(5000.0)] * 3}]) == 1.0


@pytest.mark.parametrize("metric", [loss, probability, choice_probability, forget_truth_ratio, retain_truth_ratio])
def test_no_records(metric: Any) -> None:
    with pytest.raises(InputError, match="needs at least one example, found none"):
        metric([])


def test_what_cannot_be_scored_is_named() -> None:
    empty = {**likelihood(0.0, 0), "origin": "forget.jsonl, line 3"}
    with pytest.raises(InputError, match=r"forget\.jsonl, line 3: the answer has 0 tokens; a loss needs at least one"):
        loss([empty])
    with pytest.raises(InputError, match="record 4 of set 'retain': nll_sum is NaN"):
        probability([{**likelihood(math.nan), "set": "retain", "index": 4}])
    with pytest.raises(InputError, match="row 1: a truth ratio needs perturbed answers, but this record has none"):
        forget_truth_ratio([{**likelihood(1.0), "origin": "row 1", "perturbed": []}])
    with pytest.raises(InputError, match="row 1: no perturbed answers to compare the answer with"):
        choice_probability([{**likelihood(1.0), "origin": "row 1"}])
    endless = {**likelihood(math.inf), "origin": "row 2", "perturbed": [likelihood(math.inf)]}
    with pytest.raises(InputError, match="row 2: an answer has probability 0"):
        retain_truth_ratio([endless])
    with pytest.raises(InputError, match="row 2: the answer and its perturbed answers all have probability 0"):
        choice_probability([endless])


def test_an_impossible_answer_has_probability_zero_not_nan() -> None:
    record = {**likelihood(math.inf), "perturbed": [likelihood(1.0)]}
    assert probability([record]) == 0.0
    assert choice_probability([record]) == 0.0
