"""Ranges of numeric options: from the least to the largest meaningful value."""

from dataclasses import dataclass

from ngdiff.errors import InputError


@dataclass(frozen=True, slots=True)
class Range:
    """Numbers from `least` to `largest`.

    Args:
        least: The smallest one.
        largest: The greatest one.
        without_least: `least` itself is not among them.
        without_largest: `largest` itself is not among them.

    >>> str(Range(1, 1_000_000)), str(Range(0, 1, without_largest=True))
    ('from 1 to 1,000,000', 'from 0 to below 1')
    >>> 1 in Range(0, 1), 1 in Range(0, 1, without_largest=True), float("nan") in Range(0, 1)
    (True, False, False)
    """

    least: float
    largest: float
    without_least: bool = False
    without_largest: bool = False

    def __contains__(self, value: float) -> bool:
        if value == self.least:
            return not self.without_least
        if value == self.largest:
            return not self.without_largest
        return self.least < value < self.largest

    def __str__(self) -> str:
        above, below = "above " if self.without_least else "", "below " if self.without_largest else ""
        return f"from {above}{_end(self.least)} to {below}{_end(self.largest)}"

    def check(self, value: float, option: str) -> None:
        """Refuse a number that is not in the range.

        Args:
            value: As given.
            option: Its name, such as `--seed`.

        Raises:
            InputError: names option, value and range.
        """
        if value not in self:
            raise InputError(f"{option} {_found(value)} is not {self}")


# Counts: rows, steps, tokens.
COUNT = Range(1, 1_000_000_000)
COUNT_OR_NONE = Range(0, COUNT.largest)
# Factors of weights and losses, which are in float32.
FACTOR = Range(0, 1e30)
# Seeds of numpy's generator, which Trainer also seeds.
SEED = Range(0, 2**32 - 1)


def _end(value: float) -> str:
    return f"{value:,}" if isinstance(value, int) else f"{value:g}"


def _found(value: float) -> str:
    """A number as it was given; of a very long one, only the first digits."""
    if not isinstance(value, int):
        return f"{value:g}"
    digits = str(value)
    return digits if len(digits) <= 40 else f"{digits[:20]}... ({len(digits)} digits)"
