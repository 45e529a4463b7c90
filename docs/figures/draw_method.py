"""The figures of docs/method.md: two gradients and what is made of them, and the parabola of a run.

    python docs/figures/draw_method.py RUN      # RUN: the output folder of ngdiff unlearn

Writes `directions.png` and `parabola.png` beside this file. The first is drawn from two made-up gradients, the second
from the last probe of the run's learning rate.
"""

import argparse
from pathlib import Path

import numpy as np
from matplotlib.axes import Axes

from ngdiff.core import Gramian
from ngdiff.report.logs import read_log
from ngdiff.report.probe_charts import last_fit
from ngdiff.report.style import INK, PALETTE, SIZE, SOFT, finish, new_figure, save
from ngdiff.weighting import WEIGHTINGS, Losses, weigh

HERE = Path(__file__).parent
RETAIN, FORGET, STEP = PALETTE[0], PALETTE[1], PALETTE[2]
# The forget gradient is four times as long as the retain gradient; g_R and -g_F are 110 degrees apart.
ANGLE = np.radians(110)
G_RETAIN, MINUS_G_FORGET = np.array([1.0, 0.0]), 4 * np.array([np.cos(ANGLE), np.sin(ANGLE)])


def draw_directions() -> None:
    """The sum of both gradients as they are, and of both at length one."""
    figure = new_figure(9, 4.6)
    plain, normalised = figure.subplots(1, 2)
    gramian = Gramian(a=G_RETAIN @ G_RETAIN, s=G_RETAIN @ MINUS_G_FORGET, b=MINUS_G_FORGET @ MINUS_G_FORGET)
    w_retain, w_forget = weigh(WEIGHTINGS["ngdiff"], Losses(retain=0.1, forget=-2.0), gramian)
    draw_sum(plain, G_RETAIN, MINUS_G_FORGET, 4.6, ("g_R", "-g_F", "g_R - g_F"), "As they are")
    names = ("g_R / |g_R|", "-g_F / |g_F|", "d")
    draw_sum(normalised, w_retain * G_RETAIN, w_forget * MINUS_G_FORGET, 1.4, names, "Of length one")
    save(figure, HERE / "directions.png")


def draw_sum(
    panel: Axes, retain: np.ndarray, forget: np.ndarray, size: float, names: tuple[str, ...], title: str
) -> None:
    """Two arrows and their sum, over the half-plane in which a step raises the retain loss."""
    panel.axvspan(-size, 0, color="#F3E3D8", zorder=0)
    panel.text(-0.96 * size, -0.36 * size, "the retain loss\nrises", fontsize=SIZE - 2, color=INK)
    ahead = (retain + forget) @ G_RETAIN
    for arrow, colour, name in zip((retain, forget, retain + forget), (RETAIN, FORGET, STEP), names, strict=True):
        panel.annotate("", arrow, (0, 0), arrowprops={"arrowstyle": "-|>", "color": colour, "lw": 2.4, "shrinkA": 0})
        panel.text(*(arrow * 1.04 + 0.03 * size), name, color=colour, fontsize=SIZE, fontweight="bold")
    panel.plot(0, 0, "o", color=INK, markersize=4)
    panel.set(xlim=(-size, size), ylim=(-0.4 * size, 1.15 * size), aspect="equal", xticks=[], yticks=[])
    finish_plane(panel, f"{title}: the retain loss {'falls' if ahead > 0 else 'rises'}")


def finish_plane(panel: Axes, title: str) -> None:
    """Without axes, which mean nothing here."""
    panel.set_title(title, loc="left", fontsize=SIZE, fontweight="bold", color=INK)
    panel.spines[:].set_visible(False)


def draw_parabola(run: Path) -> None:
    """Three losses of the rows to keep along a step of a run, the parabola through them, and the rate taken."""
    fit = last_fit(read_log(run))
    if fit is None:
        raise SystemExit(f"{run} has no probe of a learning rate")
    figure = new_figure(8, 3.6)
    panel = figure.subplots()
    panel.plot(*zip(*fit.parabola, strict=True), color=SOFT, linewidth=1.8, label="parabola")
    panel.plot(*zip(*fit.measured, strict=True), "o", color=RETAIN, markersize=8, label="measured")
    if fit.rate is not None:
        panel.axvline(fit.rate, color=STEP, linestyle="--", linewidth=1.6, label="rate taken")
    panel.set_xlabel("r", fontsize=SIZE, color=INK)
    finish(panel, f"Retain loss along step {fit.step} (nats a token)", legend=False)
    panel.legend(loc="upper right", frameon=False, fontsize=SIZE - 1, labelcolor=INK)
    save(figure, HERE / "parabola.png")


def main() -> None:
    """Draw both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("run", type=Path, metavar="RUN")
    run = parser.parse_args().run
    draw_directions()
    draw_parabola(run)


if __name__ == "__main__":
    main()
