"""Image classifiers: what a model says of each image, as records."""

from collections.abc import Mapping
from typing import TypedDict

import torch
from torch import nn
from tqdm import tqdm

from ngdiff.data import Images, Preparation
from ngdiff.errors import InputError
from ngdiff.evaluation.eval_mode import eval_mode
from ngdiff.modeling import image_logits


class ImageRecord(TypedDict):
    """What one image leaves behind.

    `set`, `index`: which set, and the place of the image in its source. `label`, `predicted`: the class it is of, and
    the one with the largest logit. `nll_sum`: negative log-probability of the label, nats; `n_tokens`: 1, so that
    metrics of texts that need a loss and no more serve images, too.
    """

    set: str
    index: int
    label: int
    predicted: int
    nll_sum: float
    n_tokens: int


def predict_images(
    model: nn.Module,
    sets: Mapping[str, Images],
    preparation: Preparation,
    *,
    batch_size: int = 256,
    device: torch.device | None = None,
    show_progress: bool = True,
) -> dict[str, list[ImageRecord]]:
    """A record for each image of each set, in order.

    Args:
        model: Maps a batch (B, C, H, W) to logits (B, V), itself or in `.logits`. It is looked at in evaluation mode
            and left unchanged.
        sets: Images by set name.
        preparation: What the model is given of them.
        batch_size: Images of a batch.
        device: Where the model is; by default where its first parameter is.
        show_progress: With a progress bar.

    Raises:
        InputError: fewer outputs than classes, or a loss that is not finite.
    """
    device = device or next((p.device for p in model.parameters()), torch.device("cpu"))
    total = sum(len(images) for images in sets.values())
    with eval_mode(model), tqdm(total=total, desc="images", disable=not show_progress) as bar:
        found: dict[str, list[ImageRecord]] = {}
        for name, images in sets.items():
            found[name] = []
            for rows in torch.arange(len(images)).split(batch_size):
                part = images.take(rows)
                logits = image_logits(model, preparation(part.pixels).to(device)).cpu().double()
                if logits.shape[1] < len(images.class_names):
                    raise InputError(
                        f"{images.origin} has {len(images.class_names)} classes and the model {logits.shape[1]} outputs"
                    )
                found[name] += _records(name, part, logits)
                bar.update(len(rows))
    return found


def _records(name: str, images: Images, logits: torch.Tensor) -> list[ImageRecord]:
    nll = torch.nn.functional.cross_entropy(logits, images.labels, reduction="none")
    if not bool(nll.isfinite().all()):
        raise InputError(f"{images.origin}: the model's loss is not finite; it cannot be scored")
    assert images.places is not None  # `take` made it
    columns = zip(images.places, images.labels, logits.argmax(dim=1), nll, strict=True)
    return [
        {
            "set": name,
            "index": int(index),
            "label": int(label),
            "predicted": int(predicted),
            "nll_sum": float(loss),
            "n_tokens": 1,
        }
        for index, label, predicted, loss in columns
    ]
