"""The loss along the direction of a step, as measured by a probe of the learning rate, with the parabola through it."""

from collections.abc import Mapping
from typing import Any, NamedTuple

from ngdiff.report.logs import Log, is_number
from ngdiff.report.svg import Chart, Line, Point, line_chart

_PARTS = 48  # of the parabola


class Fit(NamedTuple):
    """Losses `phi` along a step, from the weights `theta` to `theta - rho d` (paper, Eq. 6 and Figure 4).

    `rho`: radius of the probe; `behind`, `here`, `ahead`: phi at -rho, 0 and rho; `rate`: the learning rate taken after
    it; None where it is not known or lies beyond 4 rho.
    """

    step: Any
    rho: float
    behind: float
    here: float
    ahead: float
    rate: float | None

    @property
    def end(self) -> float:
        """Where the parabola ends: at the radius, or at the rate if that lies further."""
        return max(self.rho, self.rate or 0.0)

    @property
    def measured(self) -> list[Point]:
        """The three losses."""
        return [(-self.rho, self.behind), (0.0, self.here), (self.rho, self.ahead)]

    @property
    def parabola(self) -> list[Point]:
        """The parabola through them."""
        places = [(self.rho + self.end) * i / _PARTS - self.rho for i in range(_PARTS + 1)]
        return [(x, self.at(x)) for x in places]

    def at(self, x: float) -> float:
        """The parabola's loss at the rate `x`."""
        slope = (self.behind - self.ahead) / (2 * self.rho)
        curvature = (self.behind - 2 * self.here + self.ahead) / self.rho**2
        return self.here - slope * x + curvature * x * x / 2

    @property
    def table(self) -> list[tuple[str, ...]]:
        """The three losses and that at the rate taken, in order of the rate; which row is the rate, in words."""
        measured = dict(self.measured)
        places = sorted({*measured, *([] if self.rate is None else [self.rate])})
        return [
            ("", "parabola", "measured", "rate taken"),
            *(
                (
                    f"{x:g}",
                    f"{self.at(x):.4g}",
                    f"{measured[x]:.4g}" if x in measured else "-",
                    "this one" if x == self.rate else "-",
                )
                for x in places
            ),
        ]


def last_fit(log: Log) -> Fit | None:
    """That of the last probe whose rate was accepted, else of the last one; None where no probe was kept."""
    usable = [(probe, fit) for probe in log.probes if (fit := _fit(probe)) is not None]
    found = [fit for probe, fit in usable if probe.get("accepted")] or [fit for _, fit in usable]
    return found[-1] if found else None


def probe_chart(log: Log, title: str = "", *, protected: bool = False) -> Chart | None:
    """The last fit of a run; None where there is none.

    Args:
        title: Put before that of the chart.
        protected: Whether the run had protected rows, whose loss a probe adds to that of the rows to keep.
    """
    fit = last_fit(log)
    if fit is None:
        return None
    lines = [Line("parabola", fit.parabola, 1), Line("measured", fit.measured, 0, dots=True)]
    if fit.rate is not None:
        low, high = (f([y for _, y in fit.parabola]) for f in (min, max))
        lines.append(Line("rate taken", [(fit.rate, low), (fit.rate, high)], 2))
    title = f"{f'{title}: the' if title else 'The'} loss along step {fit.step}"
    chart = line_chart(
        title,
        lines,
        x_label="learning rate",
        y_label=f"nats per {log.unit}, rows to be kept{' plus protected rows' if protected else ''}",
        whole=False,
    )
    # The line at the rate taken is a place, not losses: in words it is told by its rate.
    return None if chart is None else chart._replace(table=fit.table, description=f"{title}: {_in_words(fit)}.")


def _in_words(fit: Fit) -> str:
    points = ", ".join(f"{y:.4g} at {x:g}" for x, y in fit.measured)
    return f"measured {points}" + ("" if fit.rate is None else f"; rate taken {fit.rate:g}")


def _fit(probe: Mapping[str, Any]) -> Fit | None:
    """The last fit of a probe; None where it has none that can be drawn."""
    fits = probe.get("fits")
    last = fits[-1] if isinstance(fits, list) and fits and isinstance(fits[-1], Mapping) else {}
    found: list[Any] = [last.get(key) for key in ("rho", "behind", "here", "ahead")]
    if not all(map(is_number, found)) or not found[0] > 0:
        return None
    rho, behind, here, ahead = map(float, found)
    rate: Any = probe.get("after")
    taken = float(rate) if is_number(rate) and 0 <= rate <= 4 * rho else None
    return Fit(probe.get("step", "?"), rho, behind, here, ahead, taken)
