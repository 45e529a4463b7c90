"""Curves of a metric over growing forget sets, or over successive requests to forget."""

import os
from collections.abc import Mapping, Sequence
from itertools import cycle
from pathlib import Path

from matplotlib.ticker import MaxNLocator

from ngdiff.errors import InputError
from ngdiff.report.style import INK, PALETTE, SIZE, finish, new_figure, save

Points = Sequence[tuple[int, float | None]]


def plot_sequence(
    panels: Mapping[str, Mapping[str, Points]],
    path: str | os.PathLike[str],
    *,
    label: str = "forget sets",
    title: str | None = None,
) -> Path:
    """Draw one panel per metric and one line per method over k; returns the path of the PNG.

    Args:
        panels: Name of a metric -> method -> its points (k, value); a value that is None is a gap. MUSE's
            scalability (C5) has k folds unlearned at once, its sustainability (C6) k folds one after another.
        path: The PNG to write; its folder must exist.
        label: What k counts.

    Raises:
        InputError: there is no point to draw.
        OSError: the file cannot be written.
    """
    drawn = {name: own for name, own in panels.items() if any(v is not None for p in own.values() for _, v in p)}
    if not drawn:
        raise InputError("there is nothing to draw: no run has a number")
    figure = new_figure(8, 1.2 + 2.6 * len(drawn))
    methods = list(dict.fromkeys(method for own in drawn.values() for method in own))
    colours = dict(zip(methods, cycle(PALETTE), strict=False))
    axes = figure.subplots(len(drawn), 1, sharex=True, squeeze=False)[:, 0]
    for panel, (name, own) in zip(axes, drawn.items(), strict=True):
        for method, points in own.items():
            # matplotlib breaks a line at a value that is not a number
            steps, values = [k for k, _ in points], [float("nan") if v is None else v for _, v in points]
            panel.plot(steps, values, color=colours[method], label=method, marker="o", markersize=5, linewidth=1.8)
        finish(panel, name)
    axes[-1].set_xlabel(label, fontsize=SIZE, color=INK)
    axes[-1].xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
    return save(figure, path, title)
