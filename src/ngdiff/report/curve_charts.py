"""The curves of unlearning runs as charts of a page: losses, gradient norms, learning rate."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ngdiff.report.logs import Log
from ngdiff.report.svg import MOST_POINTS, STYLES, Chart, Line, line_chart

MOST_GROUPS = STYLES  # more lines than that cannot be told apart
_ALL_POINTS = 40_000  # of all charts together: 600 kB
_CURVES = (
    ("loss_forget", "Loss of the rows to be forgotten", "nats"),
    ("loss_retain", "Loss of the rows to be kept", "nats"),
    ("norm_forget", "Length of the gradient: rows to be forgotten", "norm"),
    ("norm_retain", "Length of the gradient: rows to be kept", "norm"),
    ("learning_rate", "Learning rate", "rate"),
    ("verbmem", "Verbmem of a few rows to be forgotten", "ROUGE-L recall"),
    ("utility", "Utility of a few rows to be kept", "ROUGE-L recall"),
)


class Named(NamedTuple):
    """The log of a run. `group`: what the runs are called that differ from it by their seed alone."""

    group: str
    log: Log


def curve_charts(log: Log) -> list[Chart]:
    """One run: forget and retain loss, each on a scale of its own, both norms, the rate, and what the model still says;
    those that were logged."""
    norms = [Line("forget", log.points("norm_forget"), 0), Line("retain", log.points("norm_retain"), 1)]
    rate = [Line("learning rate", log.points("learning_rate"), 2, stepped=True)]
    said = [Line("Verbmem", log.points("verbmem"), 0), Line("Utility", log.points("utility"), 1)]
    (_, forget, _), (_, retain, _) = _CURVES[:2]
    unit = f"nats per {log.unit}"
    charts = [
        line_chart(forget, [Line("forget", log.points("loss_forget"), 0)], y_label=unit, zero=True),
        line_chart(retain, [Line("retain", log.points("loss_retain"), 1)], y_label=unit, zero=True),
        line_chart("Length of the gradients", norms, y_label="norm", log=True),
        line_chart("Learning rate", rate, y_label="rate", log=True),
        line_chart("Answers of a few rows", said, y_label="ROUGE-L recall", zero=True),
    ]
    return [chart for chart in charts if chart is not None]


def compared_curves(runs: Sequence[Named]) -> tuple[list[Chart], list[str]]:
    """Several runs in one chart for each number: a style for each group, a line for each run.

    Returns:
        The charts, and the groups that are not drawn, since there are more than `MOST_GROUPS`.
    """
    known = [run for run in runs if run.log.steps]
    groups = list(dict.fromkeys(run.group for run in known))
    styles: Mapping[str, int] = {group: place for place, group in enumerate(groups[:MOST_GROUPS])}
    drawn = [run for run in known if run.group in styles]
    most = max(20, min(MOST_POINTS, _ALL_POINTS // max(1, len(drawn) * len(_CURVES))))
    units = {run.log.unit for run in drawn}
    charts = []
    for key, title, unit in _CURVES:
        rate, plain = key == "learning_rate", key.startswith("loss") or key in ("verbmem", "utility")
        lines = [Line(run.group, run.log.points(key), styles[run.group], stepped=rate) for run in drawn]
        y_label = f"nats per {' or '.join(sorted(units))}" if unit == "nats" else unit
        charts.append(line_chart(title, lines, y_label=y_label, log=not plain, zero=plain, most=most))
    return [chart for chart in charts if chart is not None], groups[MOST_GROUPS:]
