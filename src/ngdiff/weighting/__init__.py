"""Weightings of the two gradients. A new one is one file and one line in `table.py`."""

from typing import TYPE_CHECKING

from ngdiff.lazy import make_lazy

if TYPE_CHECKING:
    from ngdiff.weighting.base import Losses, Weighting, WeightingFunction, Weights, weigh
    from ngdiff.weighting.resolve import resolve_weighting
    from ngdiff.weighting.table import WEIGHTINGS

__all__ = ["WEIGHTINGS", "Losses", "Weighting", "WeightingFunction", "Weights", "resolve_weighting", "weigh"]

make_lazy(__name__)
