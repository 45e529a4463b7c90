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
    table = compare({"before": run(0.9, 0.8), "after": run(0.1, 0.7, model_utility=0.5)}, references=[])
    assert table.names == ["before", "after"]
    assert table.titles == ["Verbmem", "Utility", "model utility"]
    assert table.values == [[0.9, 0.8, None], [0.1, 0.7, 0.5]]
    # of what is to be forgotten nothing is best without a reference; alone in its column, nobody is
    assert table.best == [[False, True, False], [False, False, False]]
    assert table.notes == [
        "note: without a --reference, a model that never saw the forget set, no value of a forget set is best: lower "
        "than that of such a model is no better"
    ]


def test_each_direction() -> None:
    runs = {name: run(value, value, privleak=p) for name, value, p in (("a", 0.2, -90.0), ("b", 0.1, 12.0))}
    assert best_of(runs, "retain.rouge_l_recall") == ["a"]
    losses = {name: {"retain": {"n": 1, "loss": value}} for name, value in (("a", 0.1), ("b", 0.2))}
    assert best_of(losses, "retain.loss") == ["a"]
    assert best_of(runs, "privleak") == ["b"]  # nearest to 0
    holdout = {name: {"holdout": {"n": 1, "loss": value}} for name, value in (("a", 1.0), ("b", 2.0))}
    assert best_of(holdout, "holdout.loss") == []


def test_numbers_that_look_alike_are_all_best() -> None:
    runs = {"a": run(0, 0.20001), "b": run(0, 0.20004), "c": run(0, 0.1)}
    assert best_of(runs, "retain.rouge_l_recall") == ["a", "b"]
    assert best_of({"a": run(0, 0.5), "b": run(0, 0.5)}, "retain.rouge_l_recall") == ["a", "b"]
    nearest = {"a": run(0.10001), "b": run(0.10004), "c": run(0.3), "retrained": run(0.15)}
    assert best_of(nearest, "forget.rouge_l_recall", references=["retrained"]) == ["a", "b"]


def test_small_p_values_are_told_apart() -> None:
    runs = {"a": run(forget_quality=2e-20), "b": run(forget_quality=3e-9)}
    assert best_of(runs, "forget_quality") == ["b"]


def test_of_what_is_to_be_forgotten_the_nearest_to_the_reference_is_best() -> None:
    """A destroyed model's Verbmem of 0 is none: the retrained model shows 0.32."""
    runs = {"destroyed": run(0.0, 0.1), "a": run(0.25, 0.8), "b": run(0.5, 0.7), "retrained": run(0.32, 0.9)}
    assert best_of(runs, "forget.rouge_l_recall", references=["retrained"]) == ["a"]
    assert best_of(runs, "retain.rouge_l_recall", references=["retrained"]) == ["a"]  # the highest, never the reference
    assert best_of(runs, "forget.rouge_l_recall") == []
    aucs = {"a": 0.0, "b": 0.52, "retrained": 0.45}
    members = {name: {**run(), "membership": {"loss": {"auc": value}}} for name, value in aucs.items()}
    assert best_of(members, "membership.loss", references=["retrained"]) == ["b"]
    assert compare(runs, references=["retrained"]).arrows == ["→0.32", "↑"]
    assert compare(runs).arrows == ["↓", "↑"]
    with pytest.raises(InputError, match="the reference 'gold' is not among the runs; one of destroyed, a, b, retrain"):
        compare(runs, references=["retrained", "gold"])


def test_a_reference_without_the_number_leaves_nothing_best() -> None:
    runs = {"a": run(0.2), "b": run(0.1), "retrained": run(None, 0.9)}
    assert best_of(runs, "forget.rouge_l_recall", references=["retrained"]) == []


def test_several_references_are_a_range() -> None:
    runs = {"a": run(0.1), "b": run(0.25), "c": run(0.28), "A": run(0.2), "B": run(0.3)}
    assert best_of(runs, "forget.rouge_l_recall", references=["A", "B"]) == ["b", "c"]  # both as never seen
    assert best_of({**runs, "b": run(0.4), "c": run(0.35)}, "forget.rouge_l_recall", references=["A", "B"]) == ["c"]
    assert compare(runs, references=["A", "B"]).arrows == ["→0.2..0.3"]


def with_interval(verbmem: float, low: float, high: float) -> dict[str, Any]:
    return run(verbmem, confidence={"level": 0.9, "sets": {"forget": {"rouge_l_recall": [low, high]}}})


def test_over_forgetting_is_said_in_words() -> None:
    runs = {"a": run(0.0), "b": run(0.21), "c": run(0.9), "retrained": with_interval(0.32, 0.2, 0.45)}
    table = compare(runs, references=["retrained"])
    no_d = "note: no D; ngdiff score RUN --retrained RUN --before RUN --output FILE adds it to a metrics.json"
    assert table.notes == [
        "note: a is over-forgotten, beyond the 90 % interval of retrained: Verbmem 0.0000 < 0.2000",
        no_d,
    ]
    assert [[one.quantity.key for one in own] for own in table.over] == [["forget.rouge_l_recall"], [], [], []]
    # beyond all of several
    more = {**runs, "other": with_interval(0.1, 0.0, 0.3)}
    assert compare(more, references=["retrained", "other"]).notes == [no_d]
    note, _ = compare({**runs, "retrained": run(0.32)}, references=["retrained"]).notes
    assert note == "note: retrained: no confidence intervals, so over-forgetting is unknown; ngdiff score adds them"


def test_numbers_of_other_rows_are_said() -> None:
    runs = {"a": run(0.2, 0.5), "b": run(0.1, 0.5)}
    runs["b"]["forget"]["n"] = 7
    notes = compare(runs).notes
    assert (
        notes[-1] == "note: forget has different rows in different runs (2 in a, 7 in b): its values are not comparable"
    )


@given(st.lists(st.none() | st.floats(0, 1), min_size=2, max_size=6), st.lists(st.floats(0, 1), max_size=2))
def test_the_best_is_no_worse_than_any(values: list[float | None], references: list[float]) -> None:
    runs = {str(i): run(value, value) for i, value in enumerate(values)}
    known = [value for value in values if value is not None]
    marks = {f"r{i}": run(value) for i, value in enumerate(references)}
    kept = best_of({**runs, **marks}, "retain.rouge_l_recall", references=list(marks)) if known else []
    assert bool(kept) == (len(known) > 1)
    assert all(values[int(name)] == pytest.approx(max(known), abs=1e-4) for name in kept)
    if not known:
        return
    found = best_of({**runs, **marks}, "forget.rouge_l_recall", references=list(marks))
    assert bool(found) == (len(known) > 1 and bool(marks))

    def distance(value: float) -> float:
        return max(min(references) - value, value - max(references), 0.0)

    assert all(distance(values[int(name)] or 0.0) <= min(map(distance, known)) + 2e-4 for name in found)


def test_short_names_mean_what_they_mean_in_requirements() -> None:
    table = compare({"a": run(0.1, 0.2), "b": run(0.3, 0.4)}, metrics=["utility", "verbmem"])
    assert table.titles == ["Utility", "Verbmem"]
    assert table.values == [[0.2, 0.1], [0.4, 0.3]]
    cyrillic = run(0.1, 0.2)
    cyrillic["retain"]["rouge_l_recall_unicode"] = 0.9  # which then is the Utility
    assert compare({"a": cyrillic}, metrics=["utility"]).values == [[0.9]]


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
    with pytest.raises(InputError, match=r"metric 'verbmen' is in none of the runs; did you mean verbmem\?"):
        compare({"a": metrics}, metrics=["verbmen"])
    with pytest.raises(InputError, match="metric 'utility' is in none of the runs"):
        compare({"a": run(0.1)}, metrics=["utility"])
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
    with pytest.raises(InputError, match=r"forget\.rouge_l_recall is not a number but str"):
        compare({"a": {"forget": {"n": 1, "rouge_l_recall": "high"}}})
    with pytest.raises(InputError, match="a comparison needs at least one run, found none"):
        compare({})


def test_curves_over_k() -> None:
    runs = {"ngdiff@2": run(0.2, 0.8), "gdiff@1": run(0.5), "ngdiff@10": run(0.3, 0.7), "ngdiff@1": run(0.1, 0.9)}
    assert sequences(compare(runs)) == {
        "Verbmem ↓": {"ngdiff": [(1, 0.1), (2, 0.2), (10, 0.3)], "gdiff": [(1, 0.5)]},
        "Utility ↑": {"ngdiff": [(1, 0.9), (2, 0.8), (10, 0.7)], "gdiff": [(1, None)]},
    }
    with pytest.raises(InputError, match="run 'ngdiff': a curve needs runs named METHOD@K, such as ngdiff@2=FOLDER"):
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


def with_distance(value: float, left_out: dict[str, str] | None = None, **more: Any) -> dict[str, Any]:
    found = {"value": value, "noise": 0.05, "parts": {}, "left_out": left_out or {}, "uncorrected": []}
    return run(0.1, 0.9, distance=found, **more)


def test_what_counts_stands_first() -> None:
    first = {"forget": {"n": 2, "rouge_l_recall": 0.1, "extraction_strength": 0.2, "truth_ratio": 0.5}}
    metrics = {**with_distance(0.3, model_utility=0.4, collateral={"holdout": 0.125}), **first}
    metrics["aggregates"] = {"memorisation": 0.6, "privacy": None, "utility": 0.4, "robustness": None}
    assert compare({"a": metrics}).titles == [
        "Verbmem", "extraction strength", "D (retrained)", "Utility", "collateral (holdout), nats",
        "truth ratio", "model utility",
    ]  # fmt: skip
    keys = [quantity.key for quantity in compare({"a": metrics}, metrics=["all"]).quantities]
    assert {"distance", "collateral.holdout", "aggregates.memorisation"} <= set(keys)
    assert not {"aggregates.privacy", "aggregates.utility"} & set(keys)


def test_the_nearest_by_distance_is_best_and_named() -> None:
    ends = {"level": 0.95, "distance": [0.1201, 0.2199]}
    runs = {"a": with_distance(0.44), "b": with_distance(0.17, confidence=ends), "retrained": run(0.13, 0.9)}
    assert best_of(runs, "distance", references=["retrained"]) == ["b"]
    notes = compare(runs, references=["retrained"]).notes
    assert "note: nearest to never seen by D (retrained): b, 0.1700 [0.1201, 0.2199]" in notes
    assert not any("no D" in note for note in notes)
    other = with_distance(0.5, {"truth_ratio": "no truth_ratio of forget rows of the model"})
    assert (
        "note: D (retrained) of c uses other measures than that of b: they are not comparable"
        in compare({**runs, "c": other}, references=["retrained"]).notes
    )
