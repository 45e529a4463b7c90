"""The curves of an unlearning run as charts of a page: losses, gradient norms, learning rate."""

import json
from collections.abc import Mapping, Sequence
from typing import Any

from ngdiff.errors import InputError
from ngdiff.report.folders import Run
from ngdiff.report.svg import Chart, Line, Point, line_chart

LOG = "training_log.json"


def curve_charts(run: Run) -> list[Chart]:
    """Forget and retain loss, each on a scale of its own, both norms, and the rate; those that were logged.

    Raises:
        InputError: `training_log.json` is there and is none.
    """
    path = run.folder / LOG
    if not path.is_file():
        return []
    try:
        rows = json.loads(path.read_text(encoding="utf-8"))["steps"]
        usable = all(isinstance(row, dict) for row in rows)
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise InputError(f"{path} is damaged: it is no log of a run ({error})") from error
    if not usable:
        raise InputError(f"{path} is damaged: a step is no object")
    forget, retain = _points(rows, "loss_forget"), _points(rows, "loss_retain")
    norms = [Line("forget", _points(rows, "norm_forget"), 0), Line("retain", _points(rows, "norm_retain"), 1)]
    rate = [Line("learning rate", _points(rows, "learning_rate"), 2, stepped=True)]
    charts = [
        line_chart("Loss of the rows to be forgotten", [Line("forget", forget, 0)], y_label="nats a token", zero=True),
        line_chart("Loss of the rows to be kept", [Line("retain", retain, 1)], y_label="nats a token", zero=True),
        line_chart("Length of the gradients", norms, y_label="norm", log=True),
        line_chart("Learning rate", rate, y_label="rate", log=True),
    ]
    return [chart for chart in charts if chart is not None]


def _points(rows: Sequence[Mapping[str, Any]], key: str) -> list[Point]:
    own: list[tuple[Any, Any]] = [(row.get("step"), row.get(key)) for row in rows]
    return [(float(a), float(b)) for a, b in own if _is_number(a) and _is_number(b)]


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)
