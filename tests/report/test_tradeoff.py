"""What forgetting cost: which numbers are drawn, and which models no other one beats."""

from typing import Any

from ngdiff.report.tradeoff import Tradeoff, tradeoff
from ngdiff.scoring.compare import compare

ROLES = {"before": "before", "retrained": "retrained"}


def metrics(verbmem: float, utility: float, distance: float | None = None) -> dict[str, Any]:
    own = {"forget": {"n": 4, "rouge_l_recall": verbmem}, "retain": {"n": 4, "rouge_l_recall": utility}}
    return own | ({} if distance is None else {"distance": {"value": distance}})


def of(runs: dict[str, dict[str, Any]], references: tuple[str, ...] = ()) -> Tradeoff | None:
    return tradeoff(compare(runs, metrics=["all"], references=references), ROLES)


def test_utility_against_d_where_there_is_one_with_the_models_that_it_is_measured_between() -> None:
    runs = {
        "a": metrics(0.1, 0.9, 0.2),
        "b": metrics(0.2, 0.8, 0.5),
        "c": metrics(0.3, 0.95, 0.6),
        "before": metrics(1.0, 1.0),
        "retrained": metrics(0.3, 0.99),
    }
    found = of(runs, ("retrained",))
    assert found is not None
    assert found.front == ["a", "c"]  # b is beaten by a; the other two are no rivals
    assert found.chart.x_label == "D (retrained) ↓"
    points = {name: (x, y) for name, x, y in found.chart.table[1:]}
    assert points["before"] == ("1.0000", "1.0000")
    assert points["retrained"] == ("0.0000", "0.9900")


def test_without_d_the_nearest_to_the_retrained_model_is_best() -> None:
    runs = {"far below": metrics(0.0, 0.9), "near": metrics(0.28, 0.9), "retrained": metrics(0.3, 0.99)}
    found = of(runs, ("retrained",))
    assert found is not None
    assert found.front == ["near"]
    assert "nearer to that of the retrained model in Verbmem" in found.words
    without = of({name: runs[name] for name in ("far below", "near")})
    assert without is not None
    assert without.front == ["far below"]


def test_nothing_is_drawn_of_one_model_or_without_the_numbers() -> None:
    assert of({"a": metrics(0.1, 0.9)}) is None
    assert of({"a": {"forget": {"n": 4, "loss": 1.0}}, "b": {"forget": {"n": 4, "loss": 2.0}}}) is None
