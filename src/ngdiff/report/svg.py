"""Geometry of charts: data in, coordinates out. The templates draw them as inline SVG and escape their texts."""

import math
from collections.abc import Sequence
from typing import NamedTuple

from ngdiff.report.axis import Axis, Tick

WIDTH, HEIGHT = 480.0, 270.0
LEFT, RIGHT, TOP, BOTTOM = 68.0, 28.0, 24.0, 40.0  # with room for the ticks of a phone, in larger letters
STYLES = 8  # of lines; the style sheet has as many
MOST_POINTS = 400  # of a line; more cannot be seen

Point = tuple[float, float]


class Line(NamedTuple):
    """A named line: its points in data, and which style it has (a colour and a dash, told apart in grey, too).

    Lines of one name are one entry of the legend. `dots`: the points alone.
    """

    name: str
    points: Sequence[Point]
    style: int = 0
    stepped: bool = False
    dots: bool = False


class Drawn(NamedTuple):
    """A line as an SVG path, or a mark at a place; `path` is then that of its intervals."""

    name: str
    path: str
    style: int
    x: float = 0.0
    y: float = 0.0
    label: str = ""
    anchor: str = "start"
    label_x: float = 0.0
    label_y: float = 0.0


class Chart(NamedTuple):
    """A chart, ready to be drawn.

    `legend`: of its lines, where there are several, the name, the style, and whether they are dots. `table`: a few of
    its numbers, for those who read no picture. `shapes`: the style of a mark is its shape.
    """

    title: str
    x_label: str
    y_label: str
    description: str
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    lines: list[Drawn]
    marks: list[Drawn]
    table: list[tuple[str, ...]]
    legend: Sequence[tuple[str, int, bool]] = ()
    shapes: bool = False
    width: float = WIDTH
    height: float = HEIGHT
    left: float = LEFT
    right: float = WIDTH - RIGHT
    top: float = TOP
    bottom: float = HEIGHT - BOTTOM


def line_chart(
    title: str,
    lines: Sequence[Line],
    *,
    y_label: str,
    x_label: str = "step",
    log: bool = False,
    zero: bool = False,
    whole: bool = True,
    most: int = MOST_POINTS,
) -> Chart | None:
    """Lines over steps; None where there is nothing to draw. Values that are not finite are left out, and those that
    are not positive on a logarithmic axis.

    Args:
        log, zero: Of the axis of values, as of `Axis`.
        whole: Ticks of the other axis are at whole numbers.
        most: Points of a line.
    """
    drawn = [line._replace(points=_usable(line.points, positive=log)) for line in lines]
    drawn = [line for line in drawn if line.points]
    if not drawn:
        return None
    every = [point for line in drawn for point in line.points]
    x = Axis([point[0] for point in every], LEFT, WIDTH - RIGHT)
    y = Axis([point[1] for point in every], HEIGHT - BOTTOM, TOP, log=log, zero=zero)
    paths, marks = [], []
    for line in drawn:
        points = [(x(a), y(b)) for a, b in thinned(line.points, most)]
        if len(points) == 1 or line.dots:
            marks += [Drawn(line.name, "", line.style, *point) for point in points]
        else:
            paths.append(Drawn(line.name, path_of(points, stepped=line.stepped), line.style))
    legend = tuple({(line.name, line.style, line.dots): None for line in drawn})
    ends = "; ".join(f"{line.name} from {line.points[0][1]:.4g} to {line.points[-1][1]:.4g}" for line in drawn)
    return Chart(
        title,
        x_label,
        y_label,
        f"{title}: {ends}.",
        x.ticks(6, whole=whole),
        y.ticks(),
        paths,
        marks,
        _table(drawn),
        legend if len(legend) > 1 else (),
    )


def thinned(points: Sequence[Point], most: int = MOST_POINTS) -> list[Point]:
    """At most about `most` points: of each stretch the lowest and the highest, so that no peak is lost.

    >>> thinned([(i, float(i == 7)) for i in range(100)], most=4)
    [(0, 0.0), (7, 1.0), (50, 0.0), (99, 0.0)]
    """
    if len(points) <= most:
        return list(points)
    size = math.ceil(2 * len(points) / most)
    kept = {0, len(points) - 1}
    for start in range(0, len(points), size):
        places = range(start, min(start + size, len(points)))
        kept |= {min(places, key=lambda i: points[i][1]), max(places, key=lambda i: points[i][1])}
    return [points[i] for i in sorted(kept)]


def _usable(points: Sequence[Point], *, positive: bool) -> list[Point]:
    return [(a, b) for a, b in points if math.isfinite(a) and math.isfinite(b) and (b > 0 or not positive)]


def path_of(points: Sequence[Point], *, stepped: bool) -> str:
    """The `d` of an SVG path through points in pixels; `stepped`: along first, then up or down."""
    words = [f"M{points[0][0]:.1f} {points[0][1]:.1f}"]
    for a, b in points[1:]:
        words.append(f"H{a:.1f}V{b:.1f}" if stepped else f"L{a:.1f} {b:.1f}")
    return "".join(words)


def _table(lines: Sequence[Line]) -> list[tuple[str, ...]]:
    """Ten steps, evenly spread, of those that the first line has."""
    steps = [a for a, _ in lines[0].points]
    chosen = [steps[i * (len(steps) - 1) // 9] for i in range(10)] if len(steps) > 10 else steps
    values = [dict(line.points) for line in lines]
    header = ("", *(line.name for line in lines))
    return [header] + [(f"{a:g}", *(f"{own[a]:.4g}" if a in own else "-" for own in values)) for a in chosen]
