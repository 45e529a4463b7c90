"""The loss along the direction of a step."""

from typing import Any

import pytest

from ngdiff.report.logs import Log
from ngdiff.report.probe_charts import probe_chart


def probe(accepted: bool = True, **changes: Any) -> dict[str, Any]:
    fit = {"rho": 0.5, "behind": 2.25, "here": 1.0, "ahead": 0.25}  # (1 - x)^2
    return {"step": 1, "after": 1.0, "accepted": accepted, "fits": [{**fit, **changes}]}


def test_the_parabola_goes_through_what_was_measured_and_on_to_the_rate() -> None:
    chart = probe_chart(Log((), [probe()]), "ngdiff")
    assert chart is not None
    assert chart.title == "ngdiff: the loss along step 1"
    assert [name for name, *_ in chart.legend] == ["parabola", "measured", "rate taken"]
    assert len(chart.marks) == 3


def test_the_rate_taken_stands_in_words_as_a_rate_and_never_among_losses() -> None:
    chart = probe_chart(Log((), [probe()]))
    assert chart is not None
    assert chart.description == "The loss along step 1: measured 2.25 at -0.5, 1 at 0, 0.25 at 0.5; rate taken 1."
    assert chart.table == [
        ("", "parabola", "measured", "rate taken"),
        ("-0.5", "2.25", "2.25", "-"),
        ("0", "1", "1", "-"),
        ("0.5", "0.25", "0.25", "-"),
        ("1", "0", "-", "this one"),  # (1 - 1)^2
    ]


def test_without_a_known_rate_none_is_named() -> None:
    chart = probe_chart(Log((), [{**probe(), "after": None}]))
    assert chart is not None
    assert chart.description.endswith("0.25 at 0.5.")
    assert [row[-1] for row in chart.table] == ["rate taken", "-", "-", "-"]


def test_the_last_accepted_probe_is_drawn() -> None:
    probes = [{**probe(), "step": 1}, {**probe(), "step": 10}, {**probe(accepted=False), "step": 20}]
    chart = probe_chart(Log((), probes))
    assert chart is not None
    assert chart.title == "The loss along step 10"


@pytest.mark.parametrize("broken", [{"rho": 0.0}, {"here": None}, {"ahead": "x"}, {"behind": float("nan")}])
def test_a_probe_without_usable_losses_is_passed_over(broken: dict[str, Any]) -> None:
    assert probe_chart(Log((), [probe(**broken)])) is None
    assert probe_chart(Log((), [{"fits": []}, {"fits": 3}, {"fits": [3]}, {}])) is None


def test_the_axis_names_protected_rows() -> None:
    chart = probe_chart(Log((), [probe()]), protected=True)
    assert chart is not None
    assert chart.y_label == "nats per token, rows to be kept plus protected rows"


def test_the_axis_names_what_a_loss_is_a_mean_over() -> None:
    chart = probe_chart(Log((), [probe()], "image"))
    assert chart is not None
    assert chart.y_label == "nats per image, rows to be kept"
