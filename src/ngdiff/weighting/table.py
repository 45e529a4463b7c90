"""The table of weightings. A new one is a file of its own and a line here."""

from ngdiff.weighting.base import Weighting
from ngdiff.weighting.ga import ga
from ngdiff.weighting.gd import gd
from ngdiff.weighting.gdiff import gdiff
from ngdiff.weighting.ngdiff import ngdiff

WEIGHTINGS: dict[str, Weighting] = {
    "ngdiff": Weighting(ngdiff, "w = (1/|g_r|, 1/|g_f|)", "NGDiff, Section 3.2"),
    "gdiff": Weighting(gdiff, "w = (c, 1 - c)", "Liu et al. 2022; NGDiff, Eq. 2"),
    "gd": Weighting(gd, "w = (1, 0)", "gradient descent on the retain set; NGDiff, Eq. 2 with c = 1"),
    "ga": Weighting(ga, "w = (0, 1)", "Jang et al. 2023; NGDiff, Eq. 2 with c = 0"),
}
