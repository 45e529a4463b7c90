"""The figures of docs/results.md about how near runs end to a model that never saw the rows.

    python docs/figures/draw_never_seen.py TABLE      # TABLE: table.json of benchmarks/never_seen.py

Writes `never_seen.png` beside this file: Utility against D with the Pareto front, and the form of D without a retrained
model against D.
"""

import argparse
import json
import math
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from matplotlib.axes import Axes
from scipy.stats import spearmanr

from ngdiff.report.style import PALETTE, SIZE, SOFT, finish, new_figure, save

HERE = Path(__file__).parent
REFERENCES = ("target", "retrained", "again")  # models that are no runs
GROUPS = {  # beginning of a label -> what the run is
    "default": "default",
    "unseen+": "unseen under another weighting",
    "teacher+": "towards a base model",
    "undial+": "away from the answers",
}
AWAY = "away from the answers"


class Run(NamedTuple):
    """One run of one seed."""

    label: str
    group: str
    distance: float
    predicted: float
    utility: float


def read_runs(file: Path) -> list[Run]:
    """The runs of a table; those that failed have no numbers and are left out."""
    table: Mapping[str, Mapping[str, Mapping[str, float]]] = json.loads(file.read_text(encoding="utf-8"))
    return [
        Run(label, group_of(label), found["D"], found["D by holdout"], found["utility"])
        for label, seeds in table.items()
        if label not in REFERENCES
        for found in seeds.values()
        if all(math.isfinite(found.get(key, math.nan)) for key in ("D", "D by holdout", "utility"))
    ]


def group_of(label: str) -> str:
    """What kind of run it is."""
    return next((name for start, name in GROUPS.items() if label.startswith(start)), AWAY)


def front(runs: Sequence[Run]) -> list[Run]:
    """The runs that no other beats in both D and Utility, by rising D."""
    found: list[Run] = []
    for run in sorted(runs, key=lambda run: (run.distance, -run.utility)):
        if not found or run.utility > found[-1].utility:
            found.append(run)
    return found


def draw(runs: Sequence[Run], path: Path) -> None:
    """Both panels."""
    figure = new_figure(11, 4.8)
    plane, forms = figure.subplots(1, 2)
    groups = [name for name in (*GROUPS.values(), AWAY) if any(run.group == name for run in runs)]
    colours = dict(zip(dict.fromkeys(groups), PALETTE, strict=False))
    best = front(runs)
    plane.step([run.distance for run in best], [run.utility for run in best], where="post", color=SOFT, linewidth=1.2)
    for panel, across, up in ((plane, "distance", "utility"), (forms, "distance", "predicted")):
        for name, colour in reversed(colours.items()):
            own = [run for run in runs if run.group == name]
            points = [getattr(run, across) for run in own], [getattr(run, up) for run in own]
            panel.plot(*points, "o", color=colour, markersize=6, label=name, alpha=0.85)
    name_axes(plane, "D: distance from the retrained model", "Utility, as part of before", "Utility against D")
    found = spearmanr([run.distance for run in runs], [run.predicted for run in runs]).statistic
    title = f"Without a retrained model: rank correlation {found:.2f}"
    name_axes(forms, "D: distance from the retrained model", "D, from holdout rows", title)
    forms.set_yscale("log")
    ends = [min(run.distance for run in runs), max(run.distance for run in runs)]
    forms.plot(ends, ends, color=SOFT, linewidth=1, linestyle=":")
    plane.legend(fontsize=SIZE - 3, loc="lower right", frameon=False)
    save(figure, path)


def name_axes(panel: Axes, across: str, up: str, title: str) -> None:
    """Title and axes of a panel."""
    panel.set(xlabel=across, ylabel=up)
    panel.set_xscale("log")
    finish(panel, title, legend=False)


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path)
    draw(read_runs(parser.parse_args().table), HERE / "never_seen.png")
