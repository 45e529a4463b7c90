"""How much each of the two gradients counts. A new weighting is one file and one line in `table.py`."""

from ngdiff.weighting.base import Losses, Weighting, WeightingFunction, Weights, weigh
from ngdiff.weighting.resolve import resolve_weighting
from ngdiff.weighting.table import WEIGHTINGS

__all__ = ["WEIGHTINGS", "Losses", "Weighting", "WeightingFunction", "Weights", "resolve_weighting", "weigh"]
