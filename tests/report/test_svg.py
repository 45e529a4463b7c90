"""Charts: where what stands."""

import math

import pytest

from ngdiff.report.scatter import Mark, scatter
from ngdiff.report.svg import HEIGHT, WIDTH, Line, line_chart, thinned


def test_a_line_goes_from_corner_to_corner() -> None:
    chart = line_chart("t", [Line("a", [(0.0, 0.0), (10.0, 5.0)])], y_label="y")
    assert chart is not None
    (first, second) = [tuple(map(float, one.split())) for one in chart.lines[0].path[1:].split("L")]
    assert chart.left <= first[0] < second[0] <= chart.right
    assert chart.top <= second[1] < first[1] <= chart.bottom
    assert chart.description == "t: a from 0 to 5."
    assert [tick.text for tick in chart.x_ticks] == ["0", "2", "4", "6", "8", "10"]


def test_steps_go_along_before_they_rise() -> None:
    chart = line_chart("t", [Line("rate", [(1.0, 1.0), (2.0, 2.0)], stepped=True)], y_label="y", log=True)
    assert chart is not None
    assert chart.lines[0].path.count("H") == chart.lines[0].path.count("V") == 1


@pytest.mark.parametrize("value", [0.0, -1.0, math.inf, math.nan])
def test_what_an_axis_cannot_show_is_left_out(value: float) -> None:
    chart = line_chart("t", [Line("a", [(1.0, 0.1), (2.0, value), (3.0, 10.0)])], y_label="y", log=True)
    assert chart is not None
    assert chart.lines[0].path.count("L") == 1
    assert line_chart("t", [Line("a", [(1.0, value)])], y_label="y", log=True) is None


def test_nothing_and_one_point() -> None:
    assert line_chart("t", [Line("a", [])], y_label="y") is None
    assert scatter("t", [], x_label="x", y_label="y") is None
    chart = line_chart("t", [Line("a", [(3.0, 7.0)])], y_label="y")
    assert chart is not None
    assert (chart.lines, len(chart.marks)) == ([], 1)
    assert chart.y_ticks


def test_constant_lines_and_numbers_of_every_size_have_ticks_within_the_picture() -> None:
    for low, high in ((1.0, 1.0), (1e-12, 2e-12), (-3.0, 1e9), (0.0, 0.0)):
        chart = line_chart("t", [Line("a", [(1.0, low), (2.0, high)])], y_label="y")
        assert chart is not None
        assert chart.y_ticks
        assert all(0 <= tick.place <= HEIGHT for tick in chart.y_ticks)
        assert all(0 <= tick.place <= WIDTH for tick in chart.x_ticks)


def test_a_long_line_keeps_its_peaks() -> None:
    points = [(float(i), 100.0 if i == 12_345 else math.sin(i)) for i in range(50_000)]
    kept = thinned(points)
    assert len(kept) < 450
    assert (12_345.0, 100.0) in kept
    assert (kept[0], kept[-1]) == (points[0], points[-1])


def test_lines_of_one_name_are_one_entry_of_the_legend() -> None:
    lines = [Line(name, [(1.0, 0.1), (2.0, 0.3)], style) for name, style in (("a", 0), ("a", 0), ("b", 1))]
    chart = line_chart("t", [*lines, Line("c", [(1.0, 0.2), (2.0, 0.2)], 2, dots=True)], y_label="y")
    assert chart is not None
    assert chart.legend == (("a", 0, False), ("b", 1, False), ("c", 2, True))
    assert (len(chart.lines), len(chart.marks)) == (3, 2)


def test_marks_of_a_scatter_and_their_front() -> None:
    marks = [Mark("a", (0.1, 0.9)), Mark("b", (0.5, 0.95), 1), Mark("c", (0.9, 0.2), 2, (0.1, 99.0))]
    chart = scatter("t", marks, x_label="D", y_label="Utility", front=[(0.5, 0.95), (0.1, 0.9)])
    assert chart is not None
    assert [mark.label for mark in chart.marks] == ["a", "b", "c"]
    assert chart.marks[0].x < chart.marks[1].x < chart.marks[2].x
    assert chart.lines[0].path.startswith(f"M{chart.marks[0].x:.1f}")
    assert chart.marks[2].path.endswith(f"{chart.bottom:.1f}V{chart.top:.1f}")  # cut at the edges


def test_names_that_would_cover_each_other_are_left_out() -> None:
    chart = scatter("t", [Mark(f"model {i}", (0.5, 0.5)) for i in range(9)], x_label="x", y_label="y")
    assert chart is not None
    shown = [mark for mark in chart.marks if mark.label]
    assert 1 <= len(shown) < 9
    assert len({(mark.label_x, mark.label_y) for mark in shown}) == len(shown)
    assert len(chart.table) == 10  # all of them stand there
