"""Figures of the paper from our runs: planes of two numbers, curves over steps, the loss along a step."""

import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from itertools import cycle
from typing import Any, NamedTuple

from matplotlib.axes import Axes
from matplotlib.ticker import MaxNLocator

from ngdiff.recipes.ran import BEFORE, RETRAINED, Group
from ngdiff.recipes.recipe import Recipe
from ngdiff.report.probe_charts import last_fit
from ngdiff.report.style import INK, PALETTE, SIZE, SOFT, finish, new_figure, save
from ngdiff.report.svg import Point

# Key of a number -> its title and unit; those of a log, then those of an evaluation.
LABELS = {
    "loss_forget": "loss of the rows to forget (nats a token)",
    "loss_retain": "loss of the rows to keep (nats a token)",
    "norm_forget": "norm of the forget gradient",
    "norm_retain": "norm of the retain gradient",
    "learning_rate": "learning rate",
    "verbmem": "Verbmem of a few rows",
    "utility": "Utility of a few rows",
    "forget.loss": "forget loss (nats a token)",
    "retain.loss": "retain loss (nats a token)",
    "forget.rouge_l_recall": "Verbmem",
    "retain.rouge_l_recall": "Utility",
}
# Without a ceiling a loss explodes, and may begin near 0.
_SCALES = {
    "loss_forget": "symlog",
    "loss_retain": "symlog",
    "norm_forget": "log",
    "norm_retain": "log",
    "learning_rate": "log",
}


class Shown(NamedTuple):
    """The points of one run under a name: a mark or a line."""

    name: str
    points: Sequence[Point]


def draw(recipe: Recipe, group: Group, variants: Sequence[str], path: str | os.PathLike[str]) -> dict[str, Any]:
    """Draw the figure of a recipe as PNG; returns all that it shows, as plain data.

    Args:
        recipe: Of a figure.
        group: The runs of its model.
        variants: Which of them it shows, in the order of its legend.
        path: The file.

    Raises:
        WriteError: the file cannot be written.
    """
    colours = dict(zip(variants, cycle(PALETTE), strict=False)) | {BEFORE: SOFT, RETRAINED: INK}
    figure = new_figure(8, 1.0 + 3.4 * len(recipe.panels))
    axes = figure.subplots(len(recipe.panels), 1, squeeze=False)[:, 0]
    shown = []
    for asked, panel in zip(recipe.panels, axes, strict=True):
        find, plot = _DRAWN[asked["draw"]]
        parts = find(asked, group, variants)
        for place, part in enumerate(parts):
            known = part.name in {earlier.name for earlier in parts[:place]}  # another seed
            plot(panel, part, colours.get(part.name, PALETTE[place % len(PALETTE)]), "" if known else part.name)
        title = _label_axes(panel, asked)
        own: dict[str, Any] = {"title": title, "lines": [[part.name, part.points] for part in parts]}
        if asked.get("random_guess") and (loss := _random_guess(group)) is not None:
            panel.axvline(loss, color=SOFT, linestyle="--", linewidth=1.2, label="random guess, ln V")
            own["random guess"] = loss
        finish(panel, title, legend=False)
        if count := len(panel.get_legend_handles_labels()[0]):
            panel.legend(fontsize=SIZE - 3, frameon=False, ncols=1 + count // 8)
        shown.append(own)
    save(figure, path, f"{recipe.title} ({group.model})")
    return {"title": recipe.title, "source": "arXiv 2410.22086", "model": group.model, "panels": shown}


def _marks(asked: Mapping[str, Any], group: Group, variants: Sequence[str]) -> list[Shown]:
    """For each run two numbers of its evaluation."""
    found = []
    for variant in (BEFORE, RETRAINED, *variants):
        for run in group.of(variant):
            x, y = run.value(asked["x"]), run.value(asked["y"])
            if x is not None and y is not None:
                found.append(Shown(variant, [(x, y)]))
    return found


def _steps(asked: Mapping[str, Any], group: Group, variants: Sequence[str]) -> list[Shown]:
    """For each run a number of its log over its steps."""
    found = [Shown(variant, run.log().points(asked["key"])) for variant in variants for run in group.of(variant)]
    return [one for one in found if one.points]


def _probe(asked: Mapping[str, Any], group: Group, variants: Sequence[str]) -> list[Shown]:
    """Losses along a step of the first run of a variant, and their parabola."""
    fits = [fit for run in group.of(asked["variant"]) if (fit := last_fit(run.log())) is not None]
    return [Shown("parabola", fits[0].parabola), Shown("measured", fits[0].measured)] if fits else []


def _plot_mark(panel: Axes, part: Shown, colour: str, label: str) -> None:
    panel.plot(*zip(*part.points, strict=True), "o", markersize=7, color=colour, label=label or None)


def _plot_line(panel: Axes, part: Shown, colour: str, label: str) -> None:
    panel.plot(*zip(*part.points, strict=True), color=colour, label=label or None, linewidth=1.6)


def _plot_fit(panel: Axes, part: Shown, colour: str, label: str) -> None:
    (_plot_mark if part.name == "measured" else _plot_line)(panel, part, colour, label)


_DRAWN: dict[str, tuple[Callable[..., list[Shown]], Callable[..., None]]] = {
    "plane": (_marks, _plot_mark),
    "steps": (_steps, _plot_line),
    "probe": (_probe, _plot_fit),
}


def _label_axes(panel: Axes, asked: Mapping[str, Any]) -> str:
    """Name the axes of a panel; returns its title."""
    if asked["draw"] == "steps":
        panel.set_xlabel("step", fontsize=SIZE, color=INK)
        panel.xaxis.set_major_locator(MaxNLocator(integer=True, min_n_ticks=1))
        panel.set_yscale(_SCALES.get(asked["key"], "linear"))
        return LABELS[asked["key"]].capitalize()
    if asked["draw"] == "probe":
        panel.set_xlabel("learning rate", fontsize=SIZE, color=INK)
        return f"{asked['variant']}: retain loss along a step (nats a token)"
    panel.set_xlabel(LABELS[asked["x"]], fontsize=SIZE, color=INK)
    for key, scale in ((asked["x"], panel.set_xscale), (asked["y"], panel.set_yscale)):
        if key.endswith(".loss"):
            scale("symlog")
    return LABELS[asked["y"]].capitalize()


def _random_guess(group: Group) -> float | None:
    """The loss of uniform guessing, ln V; None if no model is left that says how many tokens it has."""
    for run in group.runs:
        config = run.folder / "config.json"
        if config.is_file():
            size = json.loads(config.read_text(encoding="utf-8")).get("vocab_size")
            return math.log(size) if size else None
    return None
