from typing import Any

import pytest

from ngdiff.errors import InputError
from ngdiff.metrics import METRICS, Metric, forget_quality, headline, metrics_of, model_utility, summarize
from ngdiff.metrics.sample import samples_of

WORSE = {"lower": 1, "higher": -1}


def record(reference: str = "a cat", generated: str | None = "a cat", loss: float = 1.0, **more: Any) -> dict[str, Any]:
    fields = {"reference": reference, "generated": generated, "nll_sum": 4 * loss, "n_tokens": 4}
    return {**fields, "paraphrased": None, "perturbed": [], **more}


def wrong(loss: float) -> list[dict[str, Any]]:
    return [{"nll_sum": 2 * loss, "n_tokens": 2}]


def test_rows_without_what_a_metric_needs_are_left_out_and_counted() -> None:
    numbers = summarize("forget", [record(perturbed=wrong(1.0)), record(generated=None), record(generated="a dog")])
    assert numbers["n"] == 3
    assert numbers["n_truth_ratio"] == 1
    assert numbers["truth_ratio"] == 1.0
    assert numbers["n_rouge_l_recall"] == 2
    assert numbers["rouge_l_recall"] == 0.75


def test_a_metric_that_no_row_serves_is_absent_not_nan() -> None:
    numbers = summarize("retain", [record(generated=None)])
    assert "truth_ratio" not in numbers
    assert numbers["n_truth_ratio"] == 0
    assert "rouge_l_recall" not in numbers
    assert numbers["loss"] == 1.0


def test_references_without_words_are_counted() -> None:
    assert summarize("forget", [record("?!"), record()])["n_no_words"] == 1
    assert summarize("forget", [record("東京"), record(), record("...")])["n_no_words"] == 1  # by words of Unicode


def test_the_set_decides_the_rules() -> None:
    twice = [record(loss=1.0, perturbed=wrong(2.0))]  # R = exp(-1)
    forget, retain = summarize("forget", twice), summarize("retain", twice)
    assert forget["truth_ratio"] == pytest.approx(0.36787944)
    assert retain["truth_ratio"] == pytest.approx(1 - 0.36787944)
    assert summarize("anything", twice) == retain
    choice = summarize("world_facts", twice)
    assert retain["probability"] == pytest.approx(0.36787944)
    assert choice["probability"] == pytest.approx(0.73105858)  # 1 / (1 + exp(-1))


def test_no_records() -> None:
    with pytest.raises(InputError, match="set 'forget' has no records to score"):
        summarize("forget", [])


def test_headline_has_only_what_the_sets_allow() -> None:
    full = [record(perturbed=wrong(2.0))]
    numbers = {name: summarize(name, full) for name in ("forget", "retain", "real_authors", "world_facts")}
    assert set(headline(numbers)) == {"verbmem", "utility", "truth_ratio", "model_utility"}
    assert headline(numbers)["model_utility"] == model_utility(numbers)
    assert headline({"retain": numbers["retain"]}) == {"utility": 1.0}
    assert headline({}) == {}
    # utility of nine over a part of the rows would pass for that over all of them
    partial = {**numbers, "world_facts": summarize("world_facts", [*full, record()])}
    assert "model_utility" not in headline(partial)


def test_model_utility_says_what_is_missing() -> None:
    with pytest.raises(InputError, match="missing: truth_ratio of retain, probability of real_authors"):
        model_utility({"retain": {"probability": 1.0, "rouge_l_recall": 1.0}})


def test_forget_quality_of_equal_and_of_separate_samples() -> None:
    low = [record(loss=1.0, perturbed=wrong(2.0 + i / 10)) for i in range(5)]
    high = [record(loss=9.0, perturbed=wrong(1.0 + i / 10)) for i in range(5)]
    assert forget_quality(low, low) == (0.0, 1.0)
    # all 10 values apart: 2 of the C(10, 5) = 252 orders are as extreme
    assert forget_quality(low, high) == pytest.approx((1.0, 2 / 252))
    with pytest.raises(InputError, match="records of the retrained model's forget set, found none"):
        forget_quality(low, [])


KNOWN = {"token_hit": [1, 1, 1, 1], "label": 3, "predicted": 3}
UNKNOWN = {"token_hit": [1, 0, 1, 0], "label": 3, "predicted": 5}
GOOD = [record("a cat", "a cat", loss=0.1, perturbed=wrong(9.0), **KNOWN)]
BAD = [record("a cat", "no", loss=8.0, perturbed=wrong(8.5), **UNKNOWN)]
YARDSTICKS = {"holdout", "muse_privleak_forget", "muse_privleak_retain", "muse_privleak_holdout"}
FORGOTTEN = {"forget", "muse_verbmem", "muse_knowmem_forget"}
EVERY = [(name, key, metric) for name, table in METRICS.items() for key, metric in table.items()]


@pytest.mark.parametrize(("name", "key", "metric"), EVERY, ids=[f"{name}-{key}" for name, key, _ in EVERY])
def test_each_line_of_the_table_points_the_right_way(name: str, key: str, metric: Metric) -> None:
    """A model that knows the set: better on kept sets, worse on the forget set."""
    assert metric.title
    assert metric.description
    assert all(map(metric.applies, [*GOOD, *BAD]))
    if name in YARDSTICKS:
        assert metric.better is None
        return
    assert metric.better is not None
    knows, does_not = metric.function(GOOD), metric.function(BAD)
    gain = (does_not - knows) * WORSE[metric.better]
    assert gain < 0 if name in FORGOTTEN else gain > 0, key


def test_a_set_of_another_name_is_kept_data() -> None:
    assert metrics_of("my_set") is METRICS["retain"]


@pytest.mark.parametrize(("name", "key", "metric"), EVERY, ids=[f"{name}-{key}" for name, key, _ in EVERY])
def test_each_metric_is_the_mean_of_its_values_and_takes_only_what_it_needs(
    name: str, key: str, metric: Metric
) -> None:
    records = [*GOOD, *BAD, {**BAD[0], "n_tokens": 7, "nll_sum": 3.0}]
    if metric.wanted is not None:
        records = [{**record, "reference": "東京"} for record in records]
    values = metric.values(records)
    counts = metric.counts(records) if metric.counts else [1] * len(records)
    assert metric.function(records) == pytest.approx(sum(values) / sum(counts), rel=1e-12)
    assert samples_of(name, records)[key].mean() == metric.function(records)
    assert not metric.applies({"set": name, "index": 0})  # a record without anything serves no metric


def test_images_have_neither_texts_nor_words() -> None:
    images = [{"label": 1, "predicted": found, "nll_sum": loss, "n_tokens": 1} for found, loss in ((1, 0.5), (2, 1.5))]
    numbers = summarize("test", images)
    assert numbers["accuracy"] == 0.5
    assert numbers["loss"] == 1.0
    assert numbers["n_rouge_l_recall"] == numbers["n_no_words"] == 0
    assert "rouge_l_recall" not in numbers


def test_texts_without_likelihoods() -> None:
    numbers = summarize("muse_verbmem", [{"reference": "a cat", "generated": "a cat sat"}])
    assert numbers["rouge_l_f"] == pytest.approx(0.8)
    assert numbers["rouge_l_recall_unstemmed"] == 1.0
    assert numbers["n_loss"] == 0
    assert "loss" not in numbers


def test_a_huge_loss_is_a_number_and_an_infinite_one_an_error() -> None:
    numbers = summarize("forget", [record(loss=1e300), record(loss=1.0)])
    assert numbers["loss"] == pytest.approx(5e299)
    assert numbers["probability"] == pytest.approx(0.18393972)
    with pytest.raises(InputError, match="loss of example 1 is inf; the mean needs finite values"):
        summarize("forget", [record(), record(loss=float("inf"))])
