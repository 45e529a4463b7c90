"""Style and output of all figures."""

import os
from io import BytesIO
from pathlib import Path

from matplotlib.axes import Axes
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.ticker import NullLocator

from ngdiff.writing import write_bytes

INK, SOFT = "#333333", "#8A8A8A"
SIZE = 11  # points; the title is larger, tick labels and legends are smaller
# The Okabe-Ito palette without its yellow, which is too light for a line on white.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#56B4E9", "#E69F00", "#000000")


def new_figure(width: float, height: float) -> Figure:
    """A figure of this size in inches, drawn with Agg and without pyplot: no display, no global state."""
    figure = Figure(figsize=(width, height), dpi=150, layout=ConstrainedLayoutEngine(h_pad=0.08))
    FigureCanvasAgg(figure)
    return figure


def finish(panel: Axes, name: str, *, legend: bool = True) -> None:
    """Complete a panel: its name above on the left, the legend on the right, where neither covers a line.

    Args:
        panel: With its lines.
        name: Of the panel.
        legend: Whether it has one.
    """
    panel.set_title(name, loc="left", fontsize=SIZE, fontweight="bold", color=INK)
    handles, labels = panel.get_legend_handles_labels()
    if handles and legend:
        panel.legend(
            handles,
            labels,
            loc="lower right",
            bbox_to_anchor=(1, 1),
            borderaxespad=0.2,
            ncols=len(handles),
            frameon=False,
            fontsize=SIZE - 1,
            labelcolor=INK,
        )
    if not handles:
        panel.text(0.5, 0.5, "not logged", transform=panel.transAxes, ha="center", va="center", color=SOFT)
        panel.yaxis.set_major_locator(NullLocator())
    panel.spines[["top", "right"]].set_visible(False)
    panel.spines[["left", "bottom"]].set_color(SOFT)
    panel.tick_params(labelsize=SIZE - 1, color=SOFT, labelcolor=INK)
    panel.grid(axis="y", color="#E4E4E4", linewidth=0.8)
    panel.set_axisbelow(True)
    panel.margins(x=0.02)


def save(figure: Figure, path: str | os.PathLike[str], title: str | None = None) -> Path:
    """Write a figure as PNG, atomically.

    Raises:
        WriteError: the file cannot be written.
    """
    if title:
        figure.suptitle(title, fontsize=SIZE + 3, color=INK)
    image = BytesIO()
    figure.savefig(image, format="png")
    write_bytes(Path(path), image.getvalue())
    return Path(path)
