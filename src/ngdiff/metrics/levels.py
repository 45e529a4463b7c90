"""Confidence levels."""

import math

from ngdiff.errors import InputError


def check_confidence(confidence: float) -> None:
    """Refuse a number that is not a confidence level.

    Raises:
        InputError: not within (0, 1).
    """
    if not (math.isfinite(confidence) and 0 < confidence < 1):
        raise InputError(f"confidence is {confidence}; a level lies between 0 and 1, such as 0.95")
