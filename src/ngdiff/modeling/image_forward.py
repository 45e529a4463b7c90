"""The forward pass of an image classifier, as losses of its labels.

Shape legend: B images, T labelled images.
"""

from collections.abc import Mapping, Set

from torch import Tensor, nn

from ngdiff.core.answers import IGNORED, Answers
from ngdiff.modeling.image_logits import image_logits


def image_answers(model: nn.Module, batch: Mapping[str, Tensor], needs: Set[str] = frozenset()) -> Answers:
    """The negative log-probability of the label of each image that has one.

    Args:
        model: As in `image_logits`.
        batch: `pixel_values` (B, C, H, W) and `labels` (B,) int64, -100 where nothing is learned.
        needs: `logits` where they are wanted, too.
    """
    labels = batch["labels"]
    labelled = labels != IGNORED
    logits = image_logits(model, batch["pixel_values"])[labelled]
    targets = labels[labelled]
    return Answers(
        nll=nn.functional.cross_entropy(logits, targets, reduction="none"),
        row=labelled.nonzero()[:, 0],
        rows=labels.shape[0],
        labels=targets,
        logits=logits if "logits" in needs else None,
    )
