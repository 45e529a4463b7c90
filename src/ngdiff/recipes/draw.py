"""Figures of the paper from our runs: planes of two numbers, curves over steps, the loss along a step."""

import json
import math
import os
from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

from matplotlib.artist import Artist
from matplotlib.axes import Axes
from matplotlib.figure import Figure
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


class Look(NamedTuple):
    """How the runs of one name look: those of no two names of a figure alike."""

    colour: str
    marker: str
    line: str


_MARKERS, _LINES = ("o", "s", "^", "D"), ("-", "--", ":", "-.")
_REFERENCES = {BEFORE: Look(SOFT, "X", "-"), RETRAINED: Look(INK, "*", "-")}


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
    figure, panels = make_figure(recipe, group, variants)
    save(figure, path, f"{recipe.title} ({group.model})")
    return {"title": recipe.title, "source": "arXiv 2410.22086", "model": group.model, "panels": panels}


def make_figure(recipe: Recipe, group: Group, variants: Sequence[str]) -> tuple[Figure, list[dict[str, Any]]]:
    """The figure of a recipe, and what each of its panels shows; arguments as for `draw`."""
    looks = {variant: _look(place) for place, variant in enumerate(variants)} | _REFERENCES
    figure = new_figure(8, 1.6 + 3.2 * len(recipe.panels))
    axes = figure.subplots(len(recipe.panels), 1, squeeze=False)[:, 0]
    shown = []
    for asked, panel in zip(recipe.panels, axes, strict=True):
        find, plot = _DRAWN[asked["draw"]]
        parts = find(asked, group, variants)
        for place, part in enumerate(parts):
            known = part.name in {earlier.name for earlier in parts[:place]}  # another seed
            plot(panel, part, looks.get(part.name) or _look(place), "" if known else part.name)
        title = _label_axes(panel, asked)
        own: dict[str, Any] = {"title": title, "lines": [[part.name, part.points] for part in parts]}
        if asked.get("random_guess") and (loss := _random_guess(group)) is not None:
            panel.axvline(loss, color=SOFT, linestyle="--", linewidth=1.2, label="random guess, ln V")
            own["random guess"] = loss
        finish(panel, title, legend=False)
        shown.append(own)
    _add_legend(figure)
    return figure, shown


def _look(place: int) -> Look:
    rounds, colour = divmod(place, len(PALETTE))
    return Look(PALETTE[colour], _MARKERS[rounds % len(_MARKERS)], _LINES[rounds % len(_LINES)])


def _add_legend(figure: Figure) -> None:
    """One legend for all panels, below them, where it covers nothing."""
    entries: dict[str, Artist] = {}
    for panel in figure.axes:
        for handle, label in zip(*panel.get_legend_handles_labels(), strict=True):
            entries.setdefault(label, handle)
    if entries:
        columns = min(4, len(entries))
        figure.legend(
            entries.values(),
            entries.keys(),
            loc="outside lower center",
            ncols=columns,
            frameon=False,
            fontsize=SIZE - 1,
            labelcolor=INK,
        )


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


def _plot_mark(panel: Axes, part: Shown, look: Look, label: str) -> None:
    size = 12 if look.marker == "*" else 8
    panel.plot(*zip(*part.points, strict=True), look.marker, markersize=size, color=look.colour, label=label or None)


def _plot_line(panel: Axes, part: Shown, look: Look, label: str) -> None:
    marker = look.marker if len(part.points) == 1 else ""  # a line of one point would be invisible
    panel.plot(
        *zip(*part.points, strict=True), look.line, marker=marker, color=look.colour, label=label or None, linewidth=1.6
    )


def _plot_fit(panel: Axes, part: Shown, look: Look, label: str) -> None:
    (_plot_mark if part.name == "measured" else _plot_line)(panel, part, look, label)


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
