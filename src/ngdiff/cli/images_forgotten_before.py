"""Images that earlier runs made a model forget are none to keep: they would be learned again."""

import logging
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ngdiff.data.named_images import read_named_images
from ngdiff.errors import InputError
from ngdiff.evidence.read_run import DamagedRunError, read_run
from ngdiff.file_names import MANIFEST
from ngdiff.manifest import describe_source
from ngdiff.paths import user_path
from ngdiff.plurals import some_of

if TYPE_CHECKING:
    from torch import Tensor

    from ngdiff.data import ImageData, Images, ImageSplit

logger = logging.getLogger(__name__)


def without_images_forgotten_before(model: str, source: str, data: "ImageData", split: "ImageSplit") -> "ImageSplit":
    """The sets without what the model was to forget before: kept, it would be learned again.

    Left out are images, their copies, and where a class was forgotten all of its images, test images, too.

    Args:
        model: As given to --model: where it is the output of an unlearning run, that run and those before it count.
        source: As given to --dataset; runs on other images are passed over.
        data: All images.
        split: The sets of this run, with labels as those of `data`.

    Raises:
        InputError: no image is left to keep.
    """
    runs = list(_runs(user_path(model)))
    described = describe_source(source) if runs else {}  # every file is read for its hash
    rows: set[int] = set()
    labels: set[int] = set()
    for folder, options, manifest in runs:
        theirs = manifest["data"]["forget"]
        if theirs["files"] != described["files"] or not (theirs["files"] or theirs["source"] == described["source"]):
            continue
        forgotten = _rows(options, manifest, data)
        if forgotten is None:
            logger.warning(
                "%s, which names the images that the run in %s was to forget, is not as it was: those of them that are "
                "not to be forgotten now, too, are kept and learned again.",
                manifest["own"]["forget-images"]["place"],
                folder,
            )
            continue
        rows.update(forgotten)
        if options.get("forget_class") is not None:
            labels.add(data.class_names.index(options["forget_class"]))
    if not rows:
        return split
    kept = _kept(split.retain, data.train, rows, labels)
    if not len(kept):
        raise InputError(f"--model {model}: all images to keep are among those that it was to forget before")
    if left_out := len(split.retain) - len(kept):
        logger.info(
            "%s that earlier runs were to forget, or like those, left out of those to keep.",
            some_of(left_out, len(split.retain), "image"),
        )
    labels -= set(split.forget.labels.tolist())  # their test images show how far to forget
    holdout, test = (_of_other_classes(images, labels) for images in (split.holdout, split.test))
    return replace(split, retain=kept, holdout=holdout, test=test)


def _kept(retain: "Images", train: "Images", rows: set[int], labels: set[int]) -> "Images":
    """The images to keep that are none of these rows of all training images, no copy of one, and of no such class."""
    assert retain.places is not None  # `take` made it
    copies = {(train.digests[row], int(train.labels[row])) for row in rows}
    marks = [
        place not in rows and label not in labels and (train.digests[place], label) not in copies
        for place, label in zip(retain.places.tolist(), retain.labels.tolist(), strict=True)
    ]
    return retain if all(marks) else retain.take(_places(marks))


def _of_other_classes(images: "Images | None", labels: set[int]) -> "Images | None":
    if images is None or not labels:
        return images
    marks = [label not in labels for label in images.labels.tolist()]
    return images.take(_places(marks)) if any(marks) else None


def _places(marks: Sequence[bool]) -> "Tensor":
    import torch

    return torch.tensor(marks).nonzero()[:, 0]


def _runs(folder: Path) -> Iterator[tuple[Path, dict[str, Any], dict[str, Any]]]:
    """The unlearning runs on images that made a model, the last one first, with their options and manifests."""
    seen: set[Path] = set()
    while (folder / MANIFEST).is_file() and folder.resolve() not in seen:
        seen.add(folder.resolve())
        try:
            options, manifest = read_run(folder)
        except DamagedRunError as error:
            logger.warning("Which images %s was to forget before is not known: %s", folder, error)
            return
        if options.get("task") != "image" or "forget" not in manifest["data"]:
            return
        yield folder, options, manifest
        place = manifest["model"].get("place")
        if place is None:
            return
        folder = Path(place)


def _rows(options: Mapping[str, Any], manifest: Mapping[str, Any], data: "ImageData") -> list[int] | None:
    """The training images that a run was to forget; None where the file that names them is not as it was."""
    from ngdiff.data.image_list import ImageList
    from ngdiff.data.image_split import rows_to_forget

    names = None
    if (named := manifest["own"].get("forget-images")) is not None:
        try:
            names = read_named_images(named["place"])
        except InputError:  # it was moved or deleted
            return None
        if names.sha256 != named["file_sha256"]:
            return None
    given = {name: options.get(name) for name in ("forget_class", "forget_rows")}
    rows = rows_to_forget(ImageList.of(data), **given, forget_images=names, seed=int(options.get("forget_seed") or 0))
    return [int(row) for row in rows]
