"""Attacks that try to recover forgotten rows from a model, compared with a model that never saw them."""

from typing import TYPE_CHECKING

from ngdiff.lazy import make_lazy

if TYPE_CHECKING:
    from ngdiff.audit.attacks import ATTACKS
    from ngdiff.audit.base import Attack, Bed, NotApplicableError, Variant, variant_of
    from ngdiff.audit.compare import compared
    from ngdiff.audit.run import Budget, OutOfTimeError, run_attack
    from ngdiff.audit.target import Target

__all__ = [
    "ATTACKS",
    "Attack",
    "Bed",
    "Budget",
    "NotApplicableError",
    "OutOfTimeError",
    "Target",
    "Variant",
    "compared",
    "run_attack",
    "variant_of",
]

make_lazy(__name__)
