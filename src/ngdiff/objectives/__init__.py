"""What each side minimises. A new objective is one file and one line here."""

from ngdiff.objectives.base import Objective
from ngdiff.objectives.ceiling import forget_ceiling
from ngdiff.objectives.cross_entropy import ascent, cross_entropy
from ngdiff.objectives.simnpo import simnpo
from ngdiff.objectives.weighted_ascent import satimp, wga

FORGET_OBJECTIVES: dict[str, Objective] = {
    "ce": Objective(ascent, unit="token", formula="-CE", source="gradient ascent, as GA, GDiff and NGDiff use it"),
    "simnpo": Objective(
        simnpo,
        unit="sequence",
        formula="-(2/beta) log sigmoid(beta (NLL/n - delta)), beta 4.5, delta 0",
        source="Fan et al. 2024",
    ),
    "wga": Objective(wga, unit="token", formula="-stopgrad(p^beta) CE, beta 1", source="Wang et al. 2025"),
    "satimp": Objective(
        satimp, unit="token", formula="-stopgrad(p^b1 (1-p)^b2) CE, b1 5, b2 1", source="Yang et al. 2025"
    ),
}

RETAIN_OBJECTIVES: dict[str, Objective] = {
    "ce": Objective(cross_entropy, unit="token", formula="CE", source="maximum likelihood"),
}

__all__ = ["FORGET_OBJECTIVES", "RETAIN_OBJECTIVES", "Objective", "forget_ceiling"]
