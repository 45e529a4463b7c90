"""A scatter of models: marks with intervals, a front through the best, names where there is room for them."""

from collections.abc import Sequence
from typing import NamedTuple

from ngdiff.report.axis import Axis
from ngdiff.report.svg import BOTTOM, HEIGHT, LEFT, RIGHT, TOP, WIDTH, Chart, Drawn, Point, path_of

# Shapes of marks.
MODEL, BEFORE, RETRAINED = 0, 2, 1
FRONT = "Pareto front"
_LETTER, _HEIGHT = 8.0, 16.0  # of a label, in pixels
_MARGIN = 0.1
_LONGEST = 30  # letters of a label


class Mark(NamedTuple):
    """A named point; `shape`: which of the marks; `half`: of its intervals, along and up."""

    name: str
    point: Point
    shape: int = MODEL
    half: tuple[float | None, float | None] = (None, None)


class _Label(NamedTuple):
    text: str
    anchor: str
    x: float
    y: float


class _Box(NamedTuple):
    left: float
    top: float
    right: float
    bottom: float

    def meets(self, other: "_Box") -> bool:
        return (
            self.left < other.right and other.left < self.right and self.top < other.bottom and other.top < self.bottom
        )


def scatter(
    title: str, marks: Sequence[Mark], *, x_label: str, y_label: str, front: Sequence[Point] = ()
) -> Chart | None:
    """Marks in a plane, and a front through some of them; None where there are none.

    Args:
        front: Points of marks, in any order; a line joins them if there are several.
    """
    if not marks:
        return None
    x = Axis([mark.point[0] for mark in marks], LEFT, WIDTH - RIGHT, margin=_MARGIN)
    y = Axis([mark.point[1] for mark in marks], HEIGHT - BOTTOM, TOP, margin=_MARGIN)
    places = [(x(mark.point[0]), y(mark.point[1])) for mark in marks]
    labels = _labels([mark.name for mark in marks], places)
    drawn = [
        Drawn(mark.name, _bars(mark, x, y), mark.shape, *place, label.text, label.anchor, label.x, label.y)
        for mark, place, label in zip(marks, places, labels, strict=True)
    ]
    lines = []
    if len(front) > 1:
        lines.append(Drawn(FRONT, path_of([(x(a), y(b)) for a, b in sorted(front)], stepped=False), MODEL))
    table: list[tuple[str, ...]] = [("", x_label, y_label)]
    table += [(mark.name, f"{mark.point[0]:.4f}", f"{mark.point[1]:.4f}") for mark in marks]
    described = "; ".join(f"{name} {a}, {b}" for name, a, b in table[1:])
    description = f"{title}: {x_label} and {y_label} of {len(marks)} models. {described}."
    return Chart(title, x_label, y_label, description, x.ticks(), y.ticks(), lines, drawn, table, shapes=True)


def pareto(points: Sequence[tuple[float, float]]) -> list[int]:
    """Which of the points (badness, goodness) no other one beats: none is at least as good in both and better in one.

    >>> pareto([(0.1, 0.5), (0.2, 0.9), (0.2, 0.4), (0.1, 0.5)])
    [0, 1, 3]
    """

    def beaten(one: tuple[float, float]) -> bool:
        return any(other != one and other[0] <= one[0] and other[1] >= one[1] for other in points)

    return [place for place, point in enumerate(points) if not beaten(point)]


def _bars(mark: Mark, x: Axis, y: Axis) -> str:
    """Paths of both intervals, cut at the edges of the plane."""
    (a, b), (along, up) = mark.point, mark.half
    found = ""
    if along:
        ends = [min(max(x(a + side * along), LEFT), WIDTH - RIGHT) for side in (-1, 1)]
        found += f"M{ends[0]:.1f} {y(b):.1f}H{ends[1]:.1f}"
    if up:
        ends = [min(max(y(b + side * up), TOP), HEIGHT - BOTTOM) for side in (-1, 1)]
        found += f"M{x(a):.1f} {ends[0]:.1f}V{ends[1]:.1f}"
    return found


def _labels(names: Sequence[str], places: Sequence[Point]) -> list[_Label]:
    """Of each mark its label; an empty one where it would cover something."""
    taken = [_Box(a - 7, b - 7, a + 7, b + 7) for a, b in places]
    found = []
    for name, (a, b) in zip(names, places, strict=True):
        text = name if len(name) <= _LONGEST else name[: _LONGEST - 1] + "…"
        width = _LETTER * len(text)
        choices = (
            ("start", a + 10, b + 5, a + 9),
            ("end", a - 10, b + 5, a - 9 - width),
            ("middle", a, b - 11, a - width / 2),
            ("middle", a, b + 20, a - width / 2),
            ("start", a + 6, b - 16, a + 5),
            ("end", a - 6, b - 16, a - 5 - width),
            ("start", a + 6, b + 22, a + 5),
            ("end", a - 6, b + 22, a - 5 - width),
        )
        for anchor, left, base, start in choices:
            box = _Box(start, base - _HEIGHT + 3, start + width, base + 3)
            inside = box.left >= LEFT and box.right <= WIDTH and box.top >= 0 and box.bottom <= HEIGHT - BOTTOM + 4
            if inside and not any(box.meets(other) for other in taken):
                taken.append(box)
                found.append(_Label(text, anchor, left, base))
                break
        else:
            found.append(_Label("", "start", a, b))
    return found
