"""Means that raise an error with the reason if they are undefined."""

import math
from collections.abc import Iterable, Sequence

from ngdiff.errors import InputError


def mean(values: Iterable[float], what: str) -> float:
    """Arithmetic mean, `sum(values) / n`, correctly rounded (`math.fsum`).

    Args:
        values: Finite numbers.
        what: The name of the quantity, for the error message.

    Raises:
        InputError: there are no values, or one of them is not finite: a NaN in a table would not show its cause.

    >>> mean([0.1] * 10, "rouge")
    0.1
    """
    found = list(values)
    if not found:
        raise InputError(f"the mean of {what} needs at least one example, found none")
    for index, value in enumerate(found):
        if not math.isfinite(value):
            raise InputError(f"{what} of example {index} is {value}; the mean needs finite values")
    return math.fsum(found) / len(found)


def ratio_of_sums(sums: Sequence[float], counts: Sequence[float], what: str) -> float:
    """`sum(sums) / sum(counts)`, each sum correctly rounded: a mean over units, of which each example has several.

    Args:
        sums: For each example, the sum over its units, finite.
        counts: For each example, the number of its units, positive.
        what: The name of the quantity, for the error message.

    Raises:
        InputError: no examples, or a sum that is not finite.

    >>> ratio_of_sums([1.0, 2.0], [1, 5], "loss")
    0.5
    """
    mean(sums, what)  # raises if a sum is missing or not finite
    return math.fsum(sums) / math.fsum(counts)


def harmonic_mean(values: Iterable[float], what: str) -> float:
    """Harmonic mean `n / sum(1 / v)` of non-negative numbers; 0 when one of them is 0 (its limit).

    Raises:
        InputError: no values, a negative or a non-finite one.

    >>> harmonic_mean([1.0, 0.5, 0.25], "utility")
    0.42857142857142855
    >>> harmonic_mean([1.0, 0.0], "utility")
    0.0
    """
    found = list(values)
    if not found:
        raise InputError(f"the harmonic mean of {what} needs at least one value, found none")
    for index, value in enumerate(found):
        if not (math.isfinite(value) and value >= 0):
            raise InputError(f"{what}: value {index} is {value}; a harmonic mean needs finite values >= 0")
    if min(found) == 0:
        return 0.0
    return len(found) / math.fsum(1 / value for value in found)
