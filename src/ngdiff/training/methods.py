"""`--method`: usual names for a weighting with a forget and a retain objective, and names put together of parts."""

import re
from dataclasses import dataclass

from ngdiff.errors import InputError
from ngdiff.objectives import FORGET_OBJECTIVES
from ngdiff.spec import parse_spec
from ngdiff.weighting import WEIGHTINGS


@dataclass(frozen=True, slots=True)
class Method:
    """A weighting and two objectives, each as the user would write it.

    Args:
        weighting: How the two gradients are weighed.
        forget: What is minimised on the forget set.
        retain: What is minimised on the retain set.
        formula: The step it takes or the sum it minimises, in one line.
        source: Where it comes from.
    """

    weighting: str
    forget: str = "ce"
    retain: str = "ce"
    formula: str = ""
    source: str = ""


# Usual names that are more than the name of a weighting. `L_R`, `L_F`: cross-entropies of the two sets.
METHODS: dict[str, Method] = {
    "graddiff": Method("gdiff", formula="L_R - L_F", source="Liu et al. 2022; TOFU's gradient difference"),
    "ga+klr": Method("gdiff", retain="kl", formula="KL_R - L_F", source="TOFU's KL minimization; MUSE's GA + KLR"),
    "npo": Method("ga", forget="npo", formula="NPO_F", source="Zhang et al. 2024"),
    "npo+gdr": Method("gdiff", forget="npo", formula="L_R + NPO_F", source="Zhang et al. 2024, NPO+RT; MUSE"),
    "npo+klr": Method("gdiff", forget="npo", retain="kl", formula="KL_R + NPO_F", source="Zhang et al. 2024, NPO+KL"),
    "simnpo": Method("gdiff", forget="simnpo", formula="L_R + SimNPO_F", source="Fan et al. 2024"),
    "idk": Method("gdiff", forget="idk", formula="L_R + L_idk", source="TOFU's preference optimization"),
    "dpo": Method("gdiff", forget="dpo", formula="L_R + DPO_F", source="Zhang et al. 2024, DPO+RT"),
    "altpo": Method(
        "gdiff", forget="altpo", formula="L_R + AltPO_F", source="Mekala et al. 2025, AltPO with retain loss"
    ),
    "wga": Method("gdiff", forget="wga", formula="L_R + WGA_F", source="Wang et al. 2025"),
    "satimp": Method("gdiff", forget="satimp", formula="L_R + SatImp_F", source="Yang et al. 2025"),
    "undial": Method("ga", forget="undial", formula="UNDIAL_F", source="Dong et al. 2024"),
    "ceu": Method("ga", forget="ceu", formula="CE-U_F", source="Yang 2025"),
    "rmu": Method("gdiff", forget="rmu", formula="L_R + RMU_F", source="Li et al. 2024, WMDP; retain side: L_R"),
}

AUTO = "auto"


def method_for(*, base_model: bool, holdout: bool, retain: str = "ce") -> str:
    """What `--method auto` means: the method that ends nearest to a model that never saw the rows, for what is given.

    Args:
        base_model: Whether there is the model before fine-tuning.
        holdout: Whether there are rows that the model has never seen.
        retain: Retain objective of methods with levels: `ce`, or `kl` (`ngdiff.tasks.Task.auto_retain`).
    """
    if not base_model and not holdout:
        return "ngdiff"
    return ("unseen" if base_model else "lowered") + "+ngdiff" + ("+klr" if retain == "kl" else "")


_SUM = re.compile(r"([^+(]+(?:\(.*?\))?)\+(.+)")  # a plus inside brackets is part of a number
# Second parts of `X+Y` other than weightings: how the retain set is used, in MUSE's terms.
_REGULARISERS = {"gdr": ("gdiff", "ce"), "klr": ("gdiff", "kl")}


def resolve_method(name: str) -> Method:
    """The parts of `--method`: a usual name, a weighting, or OBJECTIVE+WEIGHTING such as `npo+ngdiff`.

    `OBJECTIVE+gdr` and `OBJECTIVE+klr` add the retain set's cross-entropy or KL with equal weights,
    `OBJECTIVE+WEIGHTING+klr` its KL in place of the cross-entropy. Parts may carry parameters:
    `npo(beta=0.2)+gdiff(c=0.7)`.

    Raises:
        InputError: none of these; unknown objectives and weightings are left to those who know them.

    Example:
        >>> method = resolve_method("npo+ngdiff")
        >>> method.weighting, method.forget, method.retain
        ('ngdiff', 'npo', 'ce')
    """
    if name in METHODS:
        return METHODS[name]
    parts = _SUM.fullmatch(name)
    if parts is not None:
        first, second = parts.groups()
        forget = "ce" if first == "ga" else first
        if parse_spec(forget, "--method").name not in FORGET_OBJECTIVES:
            raise InputError(f"--method {name}: {first} is no forget objective; one of {', '.join(FORGET_OBJECTIVES)}")
        weighting, _, last = second.rpartition("+")
        if weighting and last in _REGULARISERS:
            retain = _REGULARISERS[last][1]
        else:
            weighting, retain = _REGULARISERS.get(second, (second, "ce"))
        if not _is_weighting(weighting):
            known = ", ".join([*WEIGHTINGS, *_REGULARISERS])
            raise InputError(f"--method {name}: {weighting} is no weighting; one of {known}, torchjd:NAME")
        return Method(weighting, forget, retain)
    weighting = parse_spec(name, "--method").name
    if weighting in METHODS:  # npo(beta=0.2): the parameters are those of its objective
        return Method(METHODS[weighting].weighting, name, METHODS[weighting].retain)
    if _is_weighting(name):
        return Method(name)
    raise InputError(
        f"--method {name} is not known; one of {', '.join([*WEIGHTINGS, *METHODS])}, torchjd:NAME, or "
        "OBJECTIVE+WEIGHTING, as listed by `ngdiff methods`"
    )


def _is_weighting(word: str) -> bool:
    name = parse_spec(word, "--method").name
    return name in WEIGHTINGS or ":" in name
