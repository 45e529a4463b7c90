from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from ngdiff.errors import InputError
from ngdiff.metrics import METRICS
from ngdiff.scoring import compare, sequences


def run(verbmem: float | None = None, utility: float | None = None, **more: Any) -> dict[str, Any]:
    forget = {"n": 2, **({} if verbmem is None else {"rouge_l_recall": verbmem})}
    retain = {"n": 2, **({} if utility is None else {"rouge_l_recall": utility})}
    return {"forget": forget, "retain": retain, **more}


def best_of(runs: dict[str, dict[str, Any]], key: str, **options: Any) -> list[str]:
    table = compare(runs, metrics=[key], **options)
    return [name for name, (best,) in zip(table.names, table.best, strict=True) if best]


def test_a_table_of_methods_and_metrics() -> None:
    table = compare({"before": run(0.9, 0.8), "after": run(0.1, 0.7, model_utility=0.5)})
    assert table.names == ["before", "after"]
    assert table.titles == ["Verbmem", "Utility", "model utility"]
    assert table.values == [[0.9, 0.8, None], [0.1, 0.7, 0.5]]
    assert table.best == [[False, True, False], [True, False, False]]  # alone in its column, nobody is best


def test_each_direction() -> None:
    runs = {name: run(value, value, privleak=p) for name, value, p in (("a", 0.2, -90.0), ("b", 0.1, 12.0))}
    assert best_of(runs, "forget.rouge_l_recall") == ["b"]
    assert best_of(runs, "retain.rouge_l_recall") == ["a"]
    assert best_of(runs, "privleak") == ["b"]  # nearest to 0
    aucs = {name: {**run(), "membership": {"loss": {"auc": value}}} for name, value in (("a", 0.8), ("b", 0.3))}
    assert best_of(aucs, "membership.loss") == ["b"]  # nearest to 0.5
    holdout = {name: {"holdout": {"n": 1, "loss": value}} for name, value in (("a", 1.0), ("b", 2.0))}
    assert best_of(holdout, "holdout.loss") == []


def test_numbers_that_look_alike_are_all_best() -> None:
    runs = {"a": run(0.10001), "b": run(0.10004), "c": run(0.2)}
    assert best_of(runs, "forget.rouge_l_recall") == ["a", "b"]
    assert best_of({"a": run(0.5), "b": run(0.5)}, "forget.rouge_l_recall") == ["a", "b"]


def test_small_p_values_are_told_apart() -> None:
    runs = {"a": run(forget_quality=2e-20), "b": run(forget_quality=3e-9)}
    assert best_of(runs, "forget_quality") == ["b"]


def test_a_reference_is_never_best() -> None:
    runs = {"a": run(0.2), "b": run(0.1), "retrained": run(0.0)}
    assert best_of(runs, "forget.rouge_l_recall") == ["retrained"]
    assert best_of(runs, "forget.rouge_l_recall", reference="retrained") == ["b"]
    assert best_of({"a": run(0.2), "retrained": run(0.0)}, "forget.rouge_l_recall", reference="retrained") == []
    with pytest.raises(InputError, match="the reference 'gold' is not among the runs; one of a, b, retrained"):
        compare(runs, reference="gold")


@given(st.lists(st.none() | st.floats(0, 1), min_size=2, max_size=6))
def test_the_best_is_no_worse_than_any(values: list[float | None]) -> None:
    runs = {str(i): run(value, 1.0) for i, value in enumerate(values)}
    known = [round(value, 4) for value in values if value is not None]
    if known:
        found = best_of(runs, "forget.rouge_l_recall")
        assert bool(found) == (len(known) > 1)
        assert all(float(f"{values[int(name)]:.4f}") == pytest.approx(min(known), abs=1e-4) for name in found)


def test_columns_asked_for() -> None:
    metrics = {**run(0.1, 0.2), "my_set": {"n": 1, "loss": 2.0, "truth_ratio_arithmetic": 0.3}}
    assert compare({"a": metrics}, metrics=["my_set.loss", "forget.rouge_l_recall"]).titles == [
        "loss", "Verbmem",
    ]  # fmt: skip
    assert [q.key for q in compare({"a": metrics}, metrics=["all"]).quantities] == [
        "forget.rouge_l_recall", "retain.rouge_l_recall", "my_set.loss",
    ]  # fmt: skip
    assert compare({"a": metrics}, metrics=["my_set.truth_ratio_arithmetic"]).values == [[0.3]]
    with pytest.raises(
        InputError, match=r"metric 'forget\.rouge' is in none of the runs; did you mean forget\.rouge_l"
    ):
        compare({"a": metrics}, metrics=["forget.rouge"])
    with pytest.raises(InputError, match="is in none of the runs; they have forget"):
        compare({"a": metrics}, metrics=["!"])


def test_all_is_shown_where_no_headline_number_is_there() -> None:
    assert compare({"a": {"my_set": {"n": 1, "loss": 2.0, "probability": 0.5}}}).titles == ["probability", "loss"]


def test_titles_are_unique() -> None:
    everything = {
        name: {"n": 1, **{key: 0.5 for key, metric in table.items() if metric.wanted is None}}
        for name, table in METRICS.items()
    }
    titles = compare({"a": everything}, metrics=["all"]).titles
    assert len(set(titles)) == len(titles)
    assert "loss (forget)" in titles
    assert "Verbmem" in titles


def test_entries_that_are_no_numbers() -> None:
    with pytest.raises(InputError, match=r"forget\.rouge_l_recall is no number but str"):
        compare({"a": {"forget": {"n": 1, "rouge_l_recall": "high"}}})
    with pytest.raises(InputError, match="a comparison needs at least one run, found none"):
        compare({})


def test_curves_over_k() -> None:
    runs = {"ngdiff@2": run(0.2, 0.8), "gdiff@1": run(0.5), "ngdiff@10": run(0.3, 0.7), "ngdiff@1": run(0.1, 0.9)}
    assert sequences(compare(runs)) == {
        "Verbmem ↓": {"ngdiff": [(1, 0.1), (2, 0.2), (10, 0.3)], "gdiff": [(1, 0.5)]},
        "Utility ↑": {"ngdiff": [(1, 0.9), (2, 0.8), (10, 0.7)], "gdiff": [(1, None)]},
    }
    with pytest.raises(InputError, match="run 'ngdiff': a curve needs runs called METHOD@K, such as ngdiff@2=FOLDER"):
        sequences(compare({"ngdiff": run(0.1)}))
    with pytest.raises(InputError, match="run 'ngdiff@01': there are two runs of ngdiff with K = 1"):
        sequences(compare({"ngdiff@1": run(0.1), "ngdiff@01": run(0.1)}))


def test_general_abilities_are_compared_on_request() -> None:
    tasks = {"arc_easy": {"acc,none": 0.5, "acc_stderr,none": 0.01}, "gsm8k": {"exact_match,flexible-extract": 0.25}}
    runs = {"a": run(0.1, lm_eval=tasks), "b": run(0.1, lm_eval={"arc_easy": {"acc,none": 0.4, "odd,none": 3}})}
    assert compare(runs).titles == ["Verbmem"]
    table = compare(runs, metrics=["lm_eval.arc_easy.acc", "lm_eval.gsm8k.exact_match:flexible-extract"])
    assert table.titles == ["arc_easy acc", "gsm8k exact_match,flexible-extract"]
    assert table.values == [[0.5, 0.25], [0.4, None]]
    assert table.best == [[True, False], [False, False]]
    every = compare(runs, metrics=["all"])
    assert [(q.key, q.better) for q in every.quantities][1:] == [
        ("lm_eval.arc_easy.acc", "higher"),
        ("lm_eval.gsm8k.exact_match:flexible-extract", "higher"),
        ("lm_eval.arc_easy.odd", None),
    ]


def test_texts_that_rouge_score_cannot_read_are_compared_by_words_of_unicode() -> None:
    readable = {"forget": {"n": 2, "rouge_l_recall": 0.0, "rouge_l_recall_unicode": 0.9, "loss": 1.0}}
    assert compare({"a": readable}).titles == ["Verbmem, Unicode"]
    assert [one.key for one in compare({"a": readable}, metrics=["all"]).quantities] == [
        "forget.rouge_l_recall_unicode", "forget.loss",
    ]  # fmt: skip
    assert compare({"a": readable}, metrics=["forget.rouge_l_recall"]).values == [[0.0]]
    # a run that lacks it keeps its number, in a column of its own
    assert compare({"a": readable, "old": run(0.1)}).values == [[0.0, 0.9], [0.1, None]]
