"""The tables of objectives. A new one is a file of its own and a line here.

A file is imported when its function is used: the tables are known before torch is.
"""

from functools import partial

from ngdiff.lazy import LazyFunction
from ngdiff.objectives.base import Objective

_function = partial(LazyFunction, package="ngdiff.objectives")

FORGET_OBJECTIVES: dict[str, Objective] = {
    "ce": Objective(
        _function("cross_entropy", "ascent"),
        unit="token",
        formula="-CE",
        source="gradient ascent, as GA, GDiff and NGDiff use it",
    ),
    "npo": Objective(
        _function("npo", "npo"),
        unit="sequence",
        formula="-(2/beta) log sigmoid(beta (NLL - NLL_ref)), beta 0.1",
        source="Zhang et al. 2024, Eq. 7",
        needs=frozenset({"reference"}),
    ),
    "simnpo": Objective(
        _function("simnpo", "simnpo"),
        unit="sequence",
        formula="-(2/beta) log sigmoid(beta (NLL/n - delta)), beta 4.5, delta 0",
        source="Fan et al. 2024",
    ),
    "dpo": Objective(
        _function("refusal", "dpo"),
        unit="sequence",
        formula="-(2/beta) log sigmoid(beta (log-ratio of 'I don't know' - of the answer)), beta 0.1",
        source="Rafailov et al. 2023; TOFU",
        needs=frozenset({"reference", "alternate"}),
    ),
    "altpo": Objective(
        _function("refusal", "dpo"),
        unit="sequence",
        formula="-(2/beta) log sigmoid(beta (log-ratio of an answer sampled from the model - of the answer)), beta 0.1",
        source="Mekala et al. 2025, AltPO",
        needs=frozenset({"reference", "alternate", "sampled"}),
    ),
    "idk": Objective(
        _function("refusal", "idk"),
        unit="token",
        formula="CE of 'I don't know'",
        source="TOFU (Maini et al. 2024)",
        needs=frozenset({"alternate"}),
        own_answers=False,
    ),
    "wga": Objective(
        _function("weighted_ascent", "wga"),
        unit="token",
        formula="-stopgrad(p^beta) CE, beta 1",
        source="Wang et al. 2025",
    ),
    "satimp": Objective(
        _function("weighted_ascent", "satimp"),
        unit="token",
        formula="-stopgrad(p^b1 (1-p)^b2) CE, b1 5, b2 1",
        source="Yang et al. 2025",
    ),
    "teacher": Objective(
        _function("unseen", "teacher"),
        unit="token",
        formula="CE to softmax(z_base)",
        source="distillation (Hinton et al. 2015) from the model before fine-tuning",
        needs=frozenset({"logits", "teacher_logits"}),
        ends=True,
    ),
    "level": Objective(
        _function("unseen", "level"),
        unit="token",
        formula="Huber(NLL - level)",
        source="ours; levels: Watson et al. 2022",
        needs=frozenset({"level"}),
        ends=True,
    ),
    "unseen": Objective(
        _function("unseen", "unseen"),
        unit="token",
        formula="(teacher + lowered) / 2 + weight Huber(NLL - level), weight 1",
        source="ours: from the model before fine-tuning and from the one before unlearning",
        needs=frozenset({"logits", "teacher_logits", "reference_logits", "level"}),
        ends=True,
    ),
    "lowered": Objective(
        _function("unseen", "lowered"),
        unit="token",
        formula="CE to softmax(z_ref) with p(y) = exp(-level) + weight Huber(NLL - level), weight 1",
        source="ours, after UNDIAL (Dong et al. 2024)",
        needs=frozenset({"logits", "reference_logits", "level"}),
        ends=True,
    ),
    "undial": Objective(
        _function("undial", "undial"),
        unit="token",
        formula="CE to softmax(z_ref - beta onehot(y)), beta 10",
        source="Dong et al. 2024",
        needs=frozenset({"logits", "reference_logits"}),
    ),
    "ceu": Objective(
        _function("ceu", "ceu"),
        unit="token",
        formula="CE to stopgrad(softmax(z without y))",
        source="Yang 2025, CE-U",
        needs=frozenset({"logits"}),
    ),
    "rmu": Objective(
        _function("rmu", "rmu"),
        unit="token",
        formula="|h - c u|^2 / width at one layer, u random, c 20",
        source="Li et al. 2024, WMDP",
        needs=frozenset({"hidden"}),
        has_token_loss=False,
        layer=_function("rmu", "quarter_up"),
    ),
}

RETAIN_OBJECTIVES: dict[str, Objective] = {
    "ce": Objective(
        _function("cross_entropy", "cross_entropy"), unit="token", formula="CE", source="maximum likelihood"
    ),
    "kl": Objective(
        _function("kl", "kl"),
        unit="token",
        formula="KL(p_ref || p)",
        source="TOFU (Maini et al. 2024)",
        needs=frozenset({"logits", "reference_logits"}),
        noise_floor=5e-5,
    ),
}
