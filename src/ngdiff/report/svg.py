"""Geometry of charts: data in, coordinates out. The templates draw them as inline SVG and escape their texts."""

import math
from collections.abc import Sequence
from typing import NamedTuple

WIDTH, HEIGHT = 640.0, 260.0
_LEFT, _RIGHT, _TOP, _BOTTOM = 64.0, 20.0, 16.0, 36.0
MOST_POINTS = 400  # of a line; more cannot be seen

Point = tuple[float, float]


class Line(NamedTuple):
    """A named line: its points in data, and which style it has (a colour and a dash, told apart in grey, too)."""

    name: str
    points: Sequence[Point]
    style: int = 0
    stepped: bool = False


class Mark(NamedTuple):
    """A named point of a scatter; `shape`: which of the marks. `label`: beside it."""

    name: str
    point: Point
    shape: int
    label: str


class Drawn(NamedTuple):
    """A line as an SVG path, or a mark at a place."""

    name: str
    path: str
    style: int
    x: float = 0.0
    y: float = 0.0
    label: str = ""
    anchor: str = "start"


class Tick(NamedTuple):
    """A tick: where, and what is written there."""

    place: float
    text: str


class Chart(NamedTuple):
    """A chart, ready to be drawn. `table`: a few of its numbers, for those who read no picture."""

    title: str
    x_label: str
    y_label: str
    description: str
    x_ticks: list[Tick]
    y_ticks: list[Tick]
    lines: list[Drawn]
    marks: list[Drawn]
    table: list[tuple[str, ...]]
    width: float = WIDTH
    height: float = HEIGHT
    left: float = _LEFT
    right: float = WIDTH - _RIGHT
    top: float = _TOP
    bottom: float = HEIGHT - _BOTTOM


class _Axis:
    """One direction: data to pixels, with a few ticks at round numbers."""

    def __init__(
        self, values: Sequence[float], start: float, end: float, *, log: bool = False, zero: bool = False
    ) -> None:
        self._log, self._start, self._end = log, start, end
        low, high = float(min(values)), float(max(values))
        low = min(low, 0.0) if zero else low
        if log:
            low, high = math.log10(low), math.log10(high)
            if high - low < 1:
                low, high = (low + high - 1) / 2, (low + high + 1) / 2
        elif high - low <= 1e-12 * max(abs(high), abs(low), 1e-300):
            low, high = low - (abs(low) or 1) / 2, high + (abs(high) or 1) / 2
        margin = 0.04 * (high - low)
        self._low, self._high = low - (0 if zero and low == 0 else margin), high + margin

    def __call__(self, value: float) -> float:
        value = math.log10(value) if self._log else value
        return self._start + (value - self._low) / (self._high - self._low) * (self._end - self._start)

    def ticks(self, count: int = 5, *, whole: bool = False) -> list[Tick]:
        if self._log:
            found = [10.0**e for e in range(math.ceil(self._low), math.floor(self._high) + 1)]
            if len(found) < 2:
                found = [
                    m * 10.0**e
                    for e in range(math.floor(self._low), math.ceil(self._high) + 1)
                    for m in (1, 2, 5)
                    if self._low <= math.log10(m * 10.0**e) <= self._high
                ]
            every = max(1, math.ceil(len(found) / 6))
            return [Tick(self(value), f"{value:g}") for value in found[::every]]
        step = round_step((self._high - self._low) / count)
        step = max(1.0, step) if whole else step
        first = math.ceil(self._low / step)
        return [Tick(self(i * step), f"{i * step:.6g}") for i in range(first, math.floor(self._high / step) + 1)]


def round_step(least: float) -> float:
    """The smallest of 1, 2 and 5 times a power of ten that is not below.

    >>> round_step(0.03), round_step(7)
    (0.05, 10.0)
    """
    power = 10.0 ** math.floor(math.log10(least))
    return next(m * power for m in (1, 2, 5, 10) if m * power >= least * (1 - 1e-9))


def line_chart(
    title: str,
    lines: Sequence[Line],
    *,
    y_label: str,
    x_label: str = "step",
    log: bool = False,
    zero: bool = False,
) -> Chart | None:
    """Lines over steps; None where there is nothing to draw. Values that are not finite are left out, and those that
    are not positive on a logarithmic axis.

    Args:
        zero: the axis begins at 0 or below.
    """
    drawn = [line._replace(points=_usable(line.points, positive=log)) for line in lines]
    drawn = [line for line in drawn if line.points]
    if not drawn:
        return None
    every = [point for line in drawn for point in line.points]
    x = _Axis([point[0] for point in every], _LEFT, WIDTH - _RIGHT)
    y = _Axis([point[1] for point in every], HEIGHT - _BOTTOM, _TOP, log=log, zero=zero)
    paths, marks = [], []
    for line in drawn:
        points = [(x(a), y(b)) for a, b in thinned(line.points)]
        if len(points) == 1:
            marks.append(Drawn(line.name, "", line.style, *points[0]))
        else:
            paths.append(Drawn(line.name, _path(points, stepped=line.stepped), line.style))
    ends = "; ".join(f"{line.name} from {line.points[0][1]:.4g} to {line.points[-1][1]:.4g}" for line in drawn)
    return Chart(
        title, x_label, y_label, f"{title}: {ends}.", x.ticks(6, whole=True), y.ticks(), paths, marks, _table(drawn)
    )


def scatter(
    title: str, marks: Sequence[Mark], *, x_label: str, y_label: str, front: Sequence[Point] = ()
) -> Chart | None:
    """Marks in a plane, and a front through some of them; None where there are none."""
    if not marks:
        return None
    x = _Axis([mark.point[0] for mark in marks], _LEFT, WIDTH - _RIGHT - 70)
    y = _Axis([mark.point[1] for mark in marks], HEIGHT - _BOTTOM, _TOP)
    placed = [Drawn(mark.name, "", mark.shape, x(mark.point[0]), y(mark.point[1]), mark.label) for mark in marks]
    lines = []
    if len(front) > 1:
        lines.append(Drawn("Pareto front", _path([(x(a), y(b)) for a, b in sorted(front)], stepped=False), 2))
    table: list[tuple[str, ...]] = [(mark.name, f"{mark.point[0]:.4f}", f"{mark.point[1]:.4f}") for mark in marks]
    return Chart(title, x_label, y_label, f"{title}: {len(marks)} models.", x.ticks(), y.ticks(), lines, placed, table)


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


def _path(points: Sequence[Point], *, stepped: bool) -> str:
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
