"""What each side minimises. A new objective is one file and one line here."""

from ngdiff.objectives.base import Objective
from ngdiff.objectives.ceiling import forget_ceiling
from ngdiff.objectives.cross_entropy import ascent, cross_entropy

FORGET_OBJECTIVES: dict[str, Objective] = {
    "ce": Objective(ascent, unit="token", formula="-CE", source="gradient ascent, as GA, GDiff and NGDiff use it"),
}

RETAIN_OBJECTIVES: dict[str, Objective] = {
    "ce": Objective(cross_entropy, unit="token", formula="CE", source="maximum likelihood"),
}

__all__ = ["FORGET_OBJECTIVES", "RETAIN_OBJECTIVES", "Objective", "forget_ceiling"]
