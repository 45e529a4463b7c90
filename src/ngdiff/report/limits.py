"""What a page does not prove: as much a part of the result as its numbers."""

from collections.abc import Mapping
from typing import Any

from ngdiff.plurals import number_of
from ngdiff.report.folders import Run
from ngdiff.scoring.quantities import MEMBERSHIP, is_shown, numbers_of, quantities

Columns = Mapping[str, Mapping[str, Any]]

_REMOVED = (
    "The model was changed so that it no longer says the answers; the rows were not removed from its training. "
    "Training it further, even on other data, quantising it or attacking its weights can bring answers back. "
)
NOT_REMOVED = _REMOVED + "This page says nothing of that; ngdiff audit tries it."
ATTACKED = _REMOVED + "The attacks above were tried; others, or longer ones, may bring back more."
IMAGES_NOT_REMOVED = (
    "The model was changed so that it treats the images to be forgotten otherwise; they were not removed from its "
    "training. Training it further, even on other data, quantising it or attacking its weights can bring back what it "
    "knew of them. This page says nothing of that."
)
NO_OPINION = "It is a measurement, and no legal opinion on whether a duty to erase is met."


def limits(columns: Columns, run: Run, *, attacked: bool = False) -> list[str]:
    """Sentences, those that always hold first; then what this evaluation lacks.

    Args:
        columns: Metrics by role.
        run: That the page is about.
        attacked: Whether the page has the results of an audit.
    """
    after = columns["after"]
    images = numbers_of(after, "forget").get("accuracy") is not None
    found = [
        "It is about the one model whose hashes stand above: not about copies, backups, checkpoints, models made from "
        "it, the training data, or logs of what a model said.",
        IMAGES_NOT_REMOVED if images else ATTACKED if attacked else NOT_REMOVED,
        "Each image was classified as it is. The model may still know crops, flips or other versions of it."
        if images
        else "The model was asked by one template and answered greedily. Other words, other languages, longer prompts "
        "or sampling may bring answers that this page does not have.",
        "Intervals say how far a number would move with other rows of the same kind. They say nothing of another seed.",
        NO_OPINION,
    ]
    if "retrained" not in columns:
        found.append(
            "There is no retrained model to compare with: how a model would "
            f"{'classify the images without having seen them' if images else 'answer that never saw the rows'} is not "
            "known, so neither is whether this one forgot too little or too much."
        )
    if "before" not in columns:
        found.append("The model before unlearning was not measured: how much there was to forget is not known.")
    if not numbers_of(after, "holdout"):
        found.append(
            f"No {'image' if images else 'row'}s were measured that the model never saw: whether the forgotten ones "
            "can be told from such (membership inference), "
            f"and what {'images' if images else 'text'} in neither set lost, is not known."
        )
    elif attacks := [one for one in quantities([after]) if one.group == MEMBERSHIP and is_shown(one)]:
        areas = {one.path[1]: value for one in attacks if (value := one.value(after)) is not None}
        name, area = max(areas.items(), key=lambda item: abs(item[1] - 0.5))
        found.append(
            f"Forgotten rows are told from rows never seen with an AUC of {area:.3f}, by {name}, the best of "
            f"{number_of(len(areas), 'attack')}. 0.5 would be none; near 0 they are known by how unlikely they are, "
            "near 1 by how likely."
        )
    if own := numbers_of(after, "forget").get("n_cut"):
        found.append(f"{own} of the rows to be forgotten were longer than a row may be; their ends were not measured.")
    for name in ("retain_auto", "holdout_auto"):
        if made := run.manifest["extra"].get(name):
            found.append(str(made["warning"]))
    if run.manifest["extra"].get("ruined"):
        found.append("The run called its model ruined: it is of no use, whatever the numbers on forgetting say.")
    return found
