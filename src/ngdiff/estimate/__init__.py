"""Memory and time of an unlearning run, estimated before it starts."""

from ngdiff.estimate.estimate import Estimate, estimate
from ngdiff.estimate.text import describe

__all__ = ["Estimate", "describe", "estimate"]
