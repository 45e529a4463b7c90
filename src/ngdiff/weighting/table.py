"""The table of weightings. A new one is a file of its own and a line here."""

from ngdiff.weighting.base import Weighting
from ngdiff.weighting.blur import blur
from ngdiff.weighting.ga import ga
from ngdiff.weighting.gd import gd
from ngdiff.weighting.gdiff import gdiff
from ngdiff.weighting.gradnorm import gradnorm
from ngdiff.weighting.gru import gru
from ngdiff.weighting.imtl_g import imtl_g
from ngdiff.weighting.lossnorm import lossnorm
from ngdiff.weighting.ngdiff import ngdiff
from ngdiff.weighting.pcgrad import pcgrad, pcgrad_symmetric
from ngdiff.weighting.pdu import pdu
from ngdiff.weighting.rlw import rlw
from ngdiff.weighting.sago import forget_where_signs_agree, sago, sum_where_signs_agree

WEIGHTINGS: dict[str, Weighting] = {
    "ngdiff": Weighting(ngdiff, "w = (1/|g_r|, 1/|g_f|)", "NGDiff, Section 3.2"),
    "gdiff": Weighting(gdiff, "w = (c, 1 - c)", "Liu et al. 2022; NGDiff, Eq. 2"),
    "gd": Weighting(gd, "w = (1, 0)", "gradient descent on the retain set; NGDiff, Eq. 2 with c = 1"),
    "ga": Weighting(ga, "w = (0, 1)", "Jang et al. 2023; NGDiff, Eq. 2 with c = 0"),
    "lossnorm": Weighting(lossnorm, "w = (|l_f|, |l_r|) / (|l_r| + |l_f|)", "NGDiff, item 4"),
    "rlw": Weighting(rlw, "w = softmax of two draws from N(0, 1)", "Lin et al. 2022; NGDiff, item 5"),
    "pcgrad": Weighting(
        pcgrad,
        "w_r / w_f = 1 - min(s, 0)/a, sum 1: g_f projected off g_r",
        "NGDiff, item 6",
        uses_dot=True,
    ),
    "pcgrad-symmetric": Weighting(
        pcgrad_symmetric, "w = (1 - min(s, 0)/a, 1 - min(s, 0)/b)", "Yu et al. 2020, Algorithm 1", uses_dot=True
    ),
    "imtl-g": Weighting(imtl_g, "w = (|g_f|, |g_r|) / (|g_r| + |g_f|)", "Liu et al. 2021; NGDiff, item 7"),
    "gradnorm": Weighting(
        gradnorm,
        "w learned: minimises sum_i |w_i |g_i| - mean_j(w_j |g_j|) r_i^alpha|",
        "Chen et al. 2018, Algorithm 1; NGDiff, Algorithm 3",
    ),
    "blur": Weighting(
        blur, "w = (1, gamma - s/b): g_r projected off g_f", "BLUR, Reisizadeh et al. 2026", uses_dot=True
    ),
    "gru": Weighting(
        gru, "w = (max(0, -s/a), 1): g_f projected off g_r where they conflict", "Wang et al. 2025, GRU", uses_dot=True
    ),
    "pdu": Weighting(
        pdu, "w = (lambda, 1), lambda <- max(0, lambda + lr (l_r - epsilon))", "Entesari et al. 2025, PDU"
    ),
    "sago": Weighting(
        sago,
        "by entries: g_r where the signs are opposite, g_f elsewhere",
        "Xiao et al. 2026, SAGO",
        entries=forget_where_signs_agree,
    ),
    "sago-sum": Weighting(
        sago,
        "by entries: g_r where the signs are opposite, g_r + g_f elsewhere",
        "Xiao et al. 2026, SAGO's variant",
        name="sago-sum",
        entries=sum_where_signs_agree,
    ),
}
