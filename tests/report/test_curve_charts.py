"""Curves of runs as charts of a page."""

from ngdiff.report.curve_charts import Named, compared_curves, curve_charts
from ngdiff.report.logs import Log

STEPS = [{"step": step, "loss_forget": 1.0 * step, "loss_retain": 0.5, "norm_forget": 2.0} for step in (1, 2, 3)]


def test_losses_are_per_token_or_per_image() -> None:
    texts, images = Log(STEPS), Log(STEPS, unit="image")
    for log, label in ((texts, "nats per token"), (images, "nats per image")):
        assert [chart.y_label for chart in curve_charts(log)] == [label, label, "norm"]
        charts, _ = compared_curves([Named("a", log), Named("b", log)])
        assert [chart.y_label for chart in charts] == [label, label, "norm"]
    charts, _ = compared_curves([Named("a", texts), Named("b", images)])
    assert charts[0].y_label == "nats per image or token"
