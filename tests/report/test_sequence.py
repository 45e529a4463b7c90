from pathlib import Path

import pytest
from matplotlib.figure import Figure
from PIL import Image

from ngdiff.errors import InputError
from ngdiff.report import plot_sequence

PANELS = {
    "Utility ↑": {"ngdiff": [(1, 0.9), (2, 0.85), (4, 0.8)], "gdiff": [(1, 0.7), (2, None), (4, 0.2)]},
    "Verbmem ↓": {"ngdiff": [(1, 0.02), (2, 0.03), (4, 0.01)]},
    "PrivLeak": {"ngdiff": [(1, None)]},
}


def test_each_metric_has_a_panel_and_each_method_a_line(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    figures: list[Figure] = []
    save = Figure.savefig
    monkeypatch.setattr(Figure, "savefig", lambda self, *a, **o: (figures.append(self), save(self, *a, **o))[1])
    path = plot_sequence(PANELS, tmp_path / "k.png", label="folds", title="scalability")
    utility, verbmem = figures[0].axes  # a metric that no run has is no panel
    assert [panel.get_title(loc="left") for panel in (utility, verbmem)] == ["Utility ↑", "Verbmem ↓"]
    drawn = {str(line.get_label()): (list(line.get_xdata()), list(line.get_ydata())) for line in utility.lines}
    assert drawn["ngdiff"] == ([1, 2, 4], [0.9, 0.85, 0.8])
    assert drawn["gdiff"][0] == [1, 2, 4]
    assert [value == value for value in drawn["gdiff"][1]] == [True, False, True]  # a gap, not a line across it
    assert utility.lines[0].get_color() == verbmem.lines[0].get_color() != utility.lines[1].get_color()
    assert verbmem.get_xlabel() == "folds"
    with Image.open(path) as image:
        assert image.size[0] == 1200


@pytest.mark.parametrize("panels", [{}, {"Utility": {}}, {"Utility": {"ngdiff": [(1, None)]}}])
def test_nothing_to_draw(tmp_path: Path, panels: dict) -> None:
    with pytest.raises(InputError, match="there is nothing to draw: no run has a number"):
        plot_sequence(panels, tmp_path / "k.png")
    assert not (tmp_path / "k.png").exists()
