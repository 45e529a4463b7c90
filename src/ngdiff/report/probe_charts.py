"""The loss along the direction of a step, as measured by a probe of the learning rate, with the parabola through it."""

from collections.abc import Mapping
from typing import Any

from ngdiff.report.logs import Log, is_number
from ngdiff.report.svg import Chart, Line, line_chart

_PARTS = 48  # of the parabola


def probe_chart(log: Log, title: str = "") -> Chart | None:
    """The last probe whose rate was accepted, else the last one; None where no probe was kept.

    The step goes from the weights `theta` to `theta - rho d`; the parabola is that through the losses at `-rho`, 0 and
    `rho` (paper, Eq. 6 and Figure 4).

    Args:
        title: put before that of the chart.
    """
    usable = [(probe, fit) for probe in log.probes if (fit := _fit(probe)) is not None]
    if not usable:
        return None
    probe, (rho, behind, here, ahead) = next((one for one in reversed(usable) if one[0].get("accepted")), usable[-1])
    slope, curvature = (behind - ahead) / (2 * rho), (behind - 2 * here + ahead) / rho**2
    rate: Any = probe.get("after")
    end = max(rho, float(rate)) if is_number(rate) and 0 <= rate <= 4 * rho else rho
    places = [(rho + end) * i / _PARTS - rho for i in range(_PARTS + 1)]
    parabola = [(x, here - slope * x + curvature * x * x / 2) for x in places]
    lines = [
        Line("parabola", parabola, 1),
        Line("measured", [(-rho, behind), (0.0, here), (rho, ahead)], 0, dots=True),
    ]
    if is_number(rate) and 0 <= rate <= end:
        low, high = (f([y for _, y in parabola]) for f in (min, max))
        lines.append(Line("rate taken", [(float(rate), low), (float(rate), high)], 2))
    name = f"{title}: the" if title else "The"
    return line_chart(
        f"{name} loss along step {probe.get('step', '?')}",
        lines,
        x_label="learning rate",
        y_label="nats a token, rows to be kept",
        whole=False,
    )


def _fit(probe: Mapping[str, Any]) -> tuple[float, float, float, float] | None:
    """Radius and losses of the last fit of a probe; None where it has none that can be drawn."""
    fits = probe.get("fits")
    last = fits[-1] if isinstance(fits, list) and fits and isinstance(fits[-1], Mapping) else {}
    found: list[Any] = [last.get(key) for key in ("rho", "behind", "here", "ahead")]
    if not all(map(is_number, found)) or not found[0] > 0:
        return None
    rho, behind, here, ahead = map(float, found)
    return rho, behind, here, ahead
