"""An axis of a chart: from data to pixels, and its ticks."""

import math
from collections.abc import Sequence
from typing import NamedTuple


class Tick(NamedTuple):
    """A tick: where, and what is written there."""

    place: float
    text: str


class Axis:
    """One direction: data to pixels, with a few ticks at round numbers.

    Args:
        values: What it must show.
        start, end: Pixels.
        log: Logarithmic, for positive values.
        zero: It begins at 0 or below.
        margin: At both ends, as a part of the range of values.
    """

    def __init__(
        self,
        values: Sequence[float],
        start: float,
        end: float,
        *,
        log: bool = False,
        zero: bool = False,
        margin: float = 0.04,
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
        more = margin * (high - low)
        self._low, self._high = low - (0 if zero and low == 0 else more), high + more

    def __call__(self, value: float) -> float:
        value = math.log10(value) if self._log else value
        return self._start + (value - self._low) / (self._high - self._low) * (self._end - self._start)

    def ticks(self, count: int = 5, *, whole: bool = False) -> list[Tick]:
        """About `count` of them; at whole numbers only if `whole`."""
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
