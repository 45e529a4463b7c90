"""Whether a model knows the rows, and whether the holdout is of the same kind, from the scores of an evaluation."""

import math
from collections.abc import Mapping, Sequence
from typing import Any

from ngdiff.checking.findings import Finding
from ngdiff.metrics.known import UNKNOWN_LOSS
from ngdiff.plurals import some_of

_CONDITIONS = "Are model, template and rows those it was trained with?"


def check_known(scores: Mapping[str, Any], records: Mapping[str, Sequence[Mapping[str, Any]]]) -> list[Finding]:
    """Whether forget and retain rows are known at all.

    Args:
        scores: What `ngdiff.metrics.score` returned.
        records: By set.
    """
    found = []
    for name in ("forget", "retain"):
        losses = [record["nll_sum"] / max(record["n_tokens"], 1) for record in records[name]]
        unknown = sum(loss > UNKNOWN_LOSS for loss in losses)
        loss, strength = scores[name]["loss"], scores[name].get("extraction_strength")
        text = f"loss {loss:.3f} nats per token ({math.exp(-loss):.0%}), "
        text += f"{some_of(unknown, len(losses), 'row')} above {UNKNOWN_LOSS}"
        text += "" if strength is None else f", extraction strength {strength:.3f}"
        what = f"what the model knows of {name}"
        if unknown == len(losses):
            advice = f"None of the rows is known: nothing can be {'forgotten' if name == 'forget' else 'kept'}. "
            found.append(Finding(what, "spoils" if name == "forget" else "doubtful", text, advice + _CONDITIONS))
        elif 2 * unknown > len(losses):
            found.append(Finding(what, "doubtful", text, f"Most rows are hardly known. {_CONDITIONS}"))
        else:
            found.append(Finding(what, "fine", text))
    return found


def check_holdout(scores: Mapping[str, Any], base: Mapping[str, Any] | None) -> list[Finding]:
    """Whether the holdout set can serve as rows that the model never saw.

    Args:
        scores: Scores of the model, with a holdout set.
        base: Scores of the model before fine-tuning on forget and holdout rows; None without that model.
    """
    own = scores["membership"]["loss"]
    found = []
    what = "forget or holdout, by the model's loss"
    text = _auc(own)
    if own["interval"][0] <= 0.5:
        how = "both equally well" if own["interval"][1] >= 0.5 else "the holdout rows better"
        advice = f"The model knows {how}: it saw the holdout, or did not learn the forget rows."
        found.append(Finding(what, "doubtful", text, advice))
    else:
        found.append(Finding(what, "fine", text))
    what = "holdout of the same kind as forget"
    if base is None:
        return [*found, Finding(what, "skipped", "needs --base-model, a model that saw neither")]
    under_base = base["membership"]["loss"]
    if base["forget"]["loss"] <= scores["forget"]["loss"]:
        text = f"--base-model has loss {base['forget']['loss']:.3f} on the forget rows, the model "
        text += f"{scores['forget']['loss']:.3f}: it knows them"
        return [*found, Finding(what, "spoils", text, "Give the model from before fine-tuning.")]
    text = f"under --base-model: {_auc(under_base)}"
    if under_base["interval"][0] <= 0.5 <= under_base["interval"][1]:
        return [*found, Finding(what, "fine", text)]
    advice = (
        "A model that saw neither distinguishes them: they differ in kind. That difference also affects membership "
        "inference and D against this holdout; give --base to ngdiff score, or use a better holdout."
    )
    return [*found, Finding(what, "doubtful", text, advice)]


def _auc(found: Mapping[str, Any]) -> str:
    low, high = found["interval"]
    return f"AUC {found['auc']:.3f} [{low:.3f}, {high:.3f}]; 0.5 is no difference"
