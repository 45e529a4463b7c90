"""The objectives that each side minimises. A new one is one file and one line here."""

from ngdiff.objectives.base import NEEDS, Objective
from ngdiff.objectives.ceiling import forget_ceiling
from ngdiff.objectives.ceu import ceu
from ngdiff.objectives.cross_entropy import ascent, cross_entropy
from ngdiff.objectives.kl import kl
from ngdiff.objectives.npo import npo
from ngdiff.objectives.refusal import dpo, idk
from ngdiff.objectives.rmu import quarter_up, rmu
from ngdiff.objectives.simnpo import simnpo
from ngdiff.objectives.undial import undial
from ngdiff.objectives.unseen import level, lowered, teacher, unseen
from ngdiff.objectives.weighted_ascent import satimp, wga

FORGET_OBJECTIVES: dict[str, Objective] = {
    "ce": Objective(ascent, unit="token", formula="-CE", source="gradient ascent, as GA, GDiff and NGDiff use it"),
    "npo": Objective(
        npo,
        unit="sequence",
        formula="-(2/beta) log sigmoid(beta (NLL - NLL_ref)), beta 0.1",
        source="Zhang et al. 2024, Eq. 7",
        needs=frozenset({"reference"}),
    ),
    "simnpo": Objective(
        simnpo,
        unit="sequence",
        formula="-(2/beta) log sigmoid(beta (NLL/n - delta)), beta 4.5, delta 0",
        source="Fan et al. 2024",
    ),
    "dpo": Objective(
        dpo,
        unit="sequence",
        formula="-(2/beta) log sigmoid(beta (log-ratio of 'I don't know' - of the answer)), beta 0.1",
        source="Rafailov et al. 2023; TOFU",
        needs=frozenset({"reference", "alternate"}),
    ),
    "altpo": Objective(
        dpo,
        unit="sequence",
        formula="-(2/beta) log sigmoid(beta (log-ratio of an answer sampled from the model - of the answer)), beta 0.1",
        source="Mekala et al. 2025, AltPO",
        needs=frozenset({"reference", "alternate", "sampled"}),
    ),
    "idk": Objective(
        idk,
        unit="token",
        formula="CE of 'I don't know'",
        source="TOFU (Maini et al. 2024)",
        needs=frozenset({"alternate"}),
        own_answers=False,
    ),
    "wga": Objective(wga, unit="token", formula="-stopgrad(p^beta) CE, beta 1", source="Wang et al. 2025"),
    "satimp": Objective(
        satimp, unit="token", formula="-stopgrad(p^b1 (1-p)^b2) CE, b1 5, b2 1", source="Yang et al. 2025"
    ),
    "teacher": Objective(
        teacher,
        unit="token",
        formula="CE to softmax(z_base)",
        source="distillation (Hinton et al. 2015) from the model before fine-tuning",
        needs=frozenset({"logits", "teacher_logits"}),
        ends=True,
    ),
    "level": Objective(
        level,
        unit="token",
        formula="Huber(NLL - level)",
        source="ours; levels: Watson et al. 2022",
        needs=frozenset({"level"}),
        ends=True,
    ),
    "unseen": Objective(
        unseen,
        unit="token",
        formula="(teacher + lowered) / 2 + weight Huber(NLL - level), weight 1",
        source="ours: from the model before fine-tuning and from the one before unlearning",
        needs=frozenset({"logits", "teacher_logits", "reference_logits", "level"}),
        ends=True,
    ),
    "lowered": Objective(
        lowered,
        unit="token",
        formula="CE to softmax(z_ref) with p(y) = exp(-level) + weight Huber(NLL - level), weight 1",
        source="ours, after UNDIAL (Dong et al. 2024)",
        needs=frozenset({"logits", "reference_logits", "level"}),
        ends=True,
    ),
    "undial": Objective(
        undial,
        unit="token",
        formula="CE to softmax(z_ref - beta onehot(y)), beta 10",
        source="Dong et al. 2024",
        needs=frozenset({"logits", "reference_logits"}),
    ),
    "ceu": Objective(
        ceu,
        unit="token",
        formula="CE to stopgrad(softmax(z without y))",
        source="Yang 2025, CE-U",
        needs=frozenset({"logits"}),
    ),
    "rmu": Objective(
        rmu,
        unit="token",
        formula="|h - c u|^2 / width at one layer, u random, c 20",
        source="Li et al. 2024, WMDP",
        needs=frozenset({"hidden"}),
        has_token_loss=False,
        layer=quarter_up,
    ),
}

RETAIN_OBJECTIVES: dict[str, Objective] = {
    "ce": Objective(cross_entropy, unit="token", formula="CE", source="maximum likelihood"),
    "kl": Objective(
        kl,
        unit="token",
        formula="KL(p_ref || p)",
        source="TOFU (Maini et al. 2024)",
        needs=frozenset({"logits", "reference_logits"}),
        noise_floor=5e-5,
    ),
}

__all__ = ["FORGET_OBJECTIVES", "NEEDS", "RETAIN_OBJECTIVES", "Objective", "forget_ceiling"]
