"""Memory and time of an unlearning run, estimated before it starts."""

from typing import TYPE_CHECKING

from ngdiff.lazy import make_lazy

if TYPE_CHECKING:
    from ngdiff.estimate.estimate import Estimate, estimate
    from ngdiff.estimate.text import describe

__all__ = ["Estimate", "describe", "estimate"]

make_lazy(__name__)
