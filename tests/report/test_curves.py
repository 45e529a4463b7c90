import math
import sys
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
import pytest
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from PIL import Image

from ngdiff.errors import InputError
from ngdiff.report import plot_curves


def history(steps: int = 30) -> list[dict[str, Any]]:
    rows: list[dict[str, Any]] = [
        {
            "step": step,
            "loss_forget": 0.2 * step,
            "loss_retain": 0.1,
            "norm_forget": 5.0 / step,
            "norm_retain": 0.5,
            "learning_rate": 1e-4 * 2 ** (step // 10),
        }
        for step in range(1, steps + 1)
    ]
    for index, accepted in ((0, 1.0), (10, 1.0), (20, 0.0)):
        rows[index]["autolr/accepted"] = accepted
    return [*rows, {"train_runtime": 12.5, "step": steps}]


@pytest.fixture
def drawn(monkeypatch: pytest.MonkeyPatch) -> list[Figure]:
    """The figures that are saved."""
    figures: list[Figure] = []
    save = Figure.savefig

    def spy(self: Figure, *args: Any, **options: Any) -> None:
        figures.append(self)
        save(self, *args, **options)

    monkeypatch.setattr(Figure, "savefig", spy)
    return figures


def lines(panel: Axes) -> dict[str, tuple[list[float], list[float]]]:
    return {str(line.get_label()): (list(line.get_xdata()), list(line.get_ydata())) for line in panel.lines}


def test_what_is_drawn_is_what_was_logged(tmp_path: Path, drawn: list[Figure]) -> None:
    log = history()
    path = plot_curves(log, tmp_path / "curves.png", title="a run", forget_ceiling=4.0)
    losses, norms, rate = drawn[0].axes
    steps = [row["step"] for row in log[:-1]]
    for panel, names in ((losses, "loss"), (norms, "norm")):
        for side in ("forget", "retain"):
            assert lines(panel)[side] == (steps, [row[f"{names}_{side}"] for row in log[:-1]])
    assert set(lines(losses)["forget ceiling"][1]) == {4.0}
    assert lines(rate)["rate"] == (steps, [row["learning_rate"] for row in log[:-1]])
    assert lines(rate)["changed by a probe"] == ([1, 11], [1e-4, 2e-4])
    assert lines(rate)["kept by a probe"] == ([21], [4e-4])
    assert norms.get_yscale() == rate.get_yscale() == "log"
    assert losses.get_yscale() == "linear"

    pixels = np.asarray(Image.open(path).convert("RGB"))
    assert pixels.shape == (1275, 1200, 3)
    for colour in ((0xD5, 0x5E, 0x00), (0x00, 0x72, 0xB2)):  # both tasks are there to be seen
        assert (np.abs(pixels.astype(int) - colour).sum(axis=2) < 20).sum() > 500


def test_the_axis_of_losses_names_what_they_are_means_over(tmp_path: Path, drawn: list[Figure]) -> None:
    plot_curves(history(), tmp_path / "curves.png")
    plot_curves(history(), tmp_path / "curves.png", unit="image")
    titles = [figure.axes[0].get_title(loc="left") for figure in drawn]
    assert titles == ["Loss (nats per token)", "Loss (nats per image)"]


def test_a_fixed_rate_without_probes_or_ceiling(tmp_path: Path, drawn: list[Figure]) -> None:
    log = [{k: v for k, v in row.items() if k != "autolr/accepted"} for row in history()]
    plot_curves([{**row, "learning_rate": 1e-5} for row in log[:-1]], tmp_path / "curves.png")
    losses, _, rate = drawn[0].axes
    assert "forget ceiling" not in lines(losses)
    assert list(lines(rate)) == ["rate"]
    low, high = rate.get_ylim()
    assert high >= 10 * low
    assert any(low <= tick <= high for tick in rate.get_yticks())


def test_many_decades_have_ticks(tmp_path: Path, drawn: list[Figure]) -> None:
    plot_curves([{"step": i, "norm_retain": 10.0**-i} for i in range(12)], tmp_path / "curves.png")
    norms = drawn[0].axes[1]
    low, high = norms.get_ylim()
    assert sum(low <= tick <= high for tick in norms.get_yticks()) >= 3


def test_values_that_cannot_be_drawn_are_left_out(tmp_path: Path, drawn: list[Figure]) -> None:
    log = [
        {"step": 1, "loss_forget": math.nan, "norm_forget": 0.0, "learning_rate": 0.0},
        {"step": 2, "loss_forget": 2.0, "norm_forget": 3.0, "learning_rate": 1e-4},
        {"step": 3, "loss_forget": math.inf, "norm_forget": math.nan, "learning_rate": None},
    ]
    plot_curves(log, tmp_path / "curves.png")
    losses, norms, rate = drawn[0].axes
    assert lines(losses) == {"forget": ([2.0], [2.0])}
    assert lines(norms) == {"forget": ([2.0], [3.0])}
    assert lines(rate) == {"rate": ([2.0], [1e-4])}
    assert losses.lines[0].get_marker() == "o"  # a line of one point would be invisible


def test_a_panel_without_values_says_so(tmp_path: Path, drawn: list[Figure]) -> None:
    plot_curves([{"step": 1, "loss_retain": 0.5}], tmp_path / "curves.png")
    _, norms, rate = drawn[0].axes
    assert [text.get_text() for panel in (norms, rate) for text in panel.texts] == ["not logged"] * 2


def test_no_global_state_is_touched(tmp_path: Path) -> None:
    # reading the backend's setting would choose one
    settings = {name: matplotlib.rcParams[name] for name in matplotlib.rcParams if name != "backend"}
    backend = matplotlib.get_backend(auto_select=False)
    known = "matplotlib.pyplot" in sys.modules
    plot_curves(history(), tmp_path / "curves.png")
    assert matplotlib.get_backend(auto_select=False) == backend
    assert {name: matplotlib.rcParams[name] for name in settings} == settings
    assert ("matplotlib.pyplot" in sys.modules) == known


@pytest.mark.parametrize("log", [[], [{"train_runtime": 1.0, "step": 3}], [{"loss_forget": 1.0}]])
def test_nothing_to_draw(tmp_path: Path, log: list[dict[str, Any]]) -> None:
    with pytest.raises(InputError, match="the log has nothing to draw: no row has a step with a loss"):
        plot_curves(log, tmp_path / "curves.png")
    assert not (tmp_path / "curves.png").exists()
