"""The curves of an unlearning run: losses, gradient norms and learning rate over its steps."""

import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.axes import Axes
from matplotlib.ticker import FuncFormatter, LogLocator, MaxNLocator, NullLocator

from ngdiff.errors import InputError
from ngdiff.report.style import INK, SIZE, finish, new_figure, save

# Two colours of the Okabe-Ito palette that stay apart for every kind of colour vision and in grey.
_FORGET, _RETAIN = "#D55E00", "#0072B2"

LogRow = Mapping[str, Any]


def plot_curves(
    log_history: Sequence[LogRow],
    path: str | os.PathLike[str],
    *,
    title: str | None = None,
    forget_ceiling: float | None = None,
    unit: str = "token",
) -> Path:
    """Draw losses, gradient norms and learning rate over the steps of a run; returns the path of the PNG.

    Drawn with Agg and matplotlib's objects, without pyplot: no display is needed and no global state touched.

    Args:
        log_history: `trainer.state.log_history`. Used of each row, where present: `step`, `loss_forget` and
            `loss_retain` (nats per `unit`), `norm_forget` and `norm_retain` (length of each task's gradient),
            `learning_rate`, and `autolr/accepted`, which marks a probe of the learning rate (1: the rate was
            changed, 0: kept). Other rows and values that are not finite (not positive, on a logarithmic
            axis) are left out.
        path: The PNG to write; its folder must exist.
        forget_ceiling: Drawn as a dashed line at that forget loss.
        unit: What a loss is a mean over: token, image.

    Raises:
        InputError: no row has a step and one of these numbers.
        OSError: the file cannot be written.
    """
    figure = new_figure(8, 8.5)
    losses, norms, rate = figure.subplots(3, 1, sharex=True, height_ratios=(3, 2, 2))
    drawn = [
        _line(losses, log_history, "loss_forget", "forget", _FORGET),
        _line(losses, log_history, "loss_retain", "retain", _RETAIN),
        _line(norms, log_history, "norm_forget", "forget", _FORGET, positive=True),
        _line(norms, log_history, "norm_retain", "retain", _RETAIN, positive=True),
        _line(rate, log_history, "learning_rate", "rate", INK, positive=True, drawstyle="steps-post"),
    ]
    if not any(drawn):
        raise InputError("the log has nothing to draw: no row has a step with a loss, norm or learning rate")
    if forget_ceiling is not None:
        losses.axhline(forget_ceiling, color=_FORGET, linestyle=(0, (5, 4)), linewidth=1.3, label="forget ceiling")
    _mark_probes(rate, log_history)

    losses.set_ylim(bottom=0)
    finish(losses, f"Loss (nats per {unit})")
    _logarithmic(norms)
    finish(norms, "Gradient norm")
    _logarithmic(rate)
    finish(rate, "Learning rate")
    rate.set_xlabel("step", fontsize=SIZE, color=INK)
    rate.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    return save(figure, path, title)


def _logarithmic(panel: Axes) -> None:
    """A logarithmic axis of at least one decade, so that a constant looks constant and a tick is visible."""
    panel.set_yscale("log")
    low, high = panel.get_ylim()
    if high < 10 * low:
        middle = math.sqrt(low * high)
        panel.set_ylim(middle / math.sqrt(10), middle * math.sqrt(10))
    few_decades = high <= 1000 * low
    panel.yaxis.set_major_locator(LogLocator(subs=(1, 2, 5) if few_decades else (1,), numticks=7))
    panel.yaxis.set_major_formatter(FuncFormatter(lambda value, _: f"{value:g}"))
    panel.yaxis.set_minor_locator(NullLocator())


def _points(log_history: Sequence[LogRow], key: str, positive: bool) -> tuple[list[float], list[float]]:
    steps, values = [], []
    for row in log_history:
        if "step" in row and isinstance(row.get(key), (int, float)):
            value = float(row[key])
            if math.isfinite(value) and (value > 0 or not positive):
                steps.append(float(row["step"]))
                values.append(value)
    return steps, values


def _line(
    panel: Axes,
    log_history: Sequence[LogRow],
    key: str,
    label: str,
    color: str,
    *,
    positive: bool = False,
    drawstyle: str = "default",
) -> bool:
    steps, values = _points(log_history, key, positive)
    if not steps:
        return False
    # A run of one logged step is a dot: a line of one point would be invisible.
    marker = "o" if len(steps) == 1 else None
    style: dict[str, Any] = {"linewidth": 1.8, "marker": marker, "markersize": 5, "drawstyle": drawstyle}
    panel.plot(steps, values, color=color, label=label, **style)
    return True


def _mark_probes(panel: Axes, log_history: Sequence[LogRow]) -> None:
    probes = [row for row in log_history if row.get("autolr/accepted") is not None]
    for accepted, label, fill in ((True, "changed by a probe", INK), (False, "kept by a probe", "white")):
        rows = [row for row in probes if bool(row["autolr/accepted"]) is accepted]
        steps, values = _points(rows, "learning_rate", positive=True)
        if steps:
            panel.plot(
                steps,
                values,
                linestyle="none",
                marker="o",
                markersize=6,
                markerfacecolor=fill,
                markeredgecolor=INK,
                label=label,
                zorder=3,
            )
