"""Split images into those to forget, those to keep, and those that no model has seen."""

import difflib
import logging
from collections.abc import Sequence
from dataclasses import dataclass

import torch

from ngdiff.data.cifar import PAPER_ROWS
from ngdiff.data.image_list import ImageList
from ngdiff.data.images import ImageData, Images
from ngdiff.data.named_images import NamedImages, check_what_is_forgotten
from ngdiff.errors import InputError
from ngdiff.plurals import verb

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class ImageSplit:
    """The sets of an unlearning run.

    Args:
        forget: Training images to forget.
        retain: Training images to keep.
        holdout: Test images of the forgotten classes, never seen, for membership inference; None if there are none.
        test: Test images of the other classes, or of all if no class is forgotten; None if there are none.
    """

    forget: Images
    retain: Images
    holdout: Images | None
    test: Images | None

    def sets(self) -> dict[str, Images]:
        """The existing sets, by name."""
        found = {"forget": self.forget, "retain": self.retain, "holdout": self.holdout, "test": self.test}
        return {name: images for name, images in found.items() if images is not None}

    def in_order(self, class_names: Sequence[str]) -> "ImageSplit":
        """As `ngdiff.data.Images.in_order`."""
        found = {name: images.in_order(class_names) for name, images in self.sets().items()}
        return ImageSplit(found["forget"], found["retain"], found.get("holdout"), found.get("test"))


def split_images(
    data: ImageData,
    *,
    forget_class: str | None = None,
    forget_rows: int | None = None,
    forget_images: NamedImages | None = None,
    seed: int = 0,
) -> ImageSplit:
    """The NGDiff paper's split (arXiv 2410.22086, Table 4), random images, or named ones.

    With `forget_class`: `min(forget_rows, all)` training images of that class are forgotten, and the images of the
    *other classes* are kept. The remaining images of the class are in neither set, as in the paper, which forgets 500
    of the 5000 dogs of CIFAR-10: training on them would teach the class again. Without a class: `forget_rows` training
    images of any class, or `forget_images`, are forgotten, and all others are kept, except exact copies (same pixels
    and label).

    Args:
        data: All images.
        forget_class: Name of a class.
        forget_rows: Number of images; 500 by default where a class is given.
        forget_images: The images by name, in place of both.
        seed: Of the draw; where all images of a class are taken nothing is drawn. The order of the source is kept.

    Raises:
        InputError: none of the options, names beside another one, an unknown class, one without images, names that are
            not of training images, or nothing left to keep.
    """
    images, train = ImageList.of(data), data.train
    rows = rows_to_forget(
        images, forget_class=forget_class, forget_rows=forget_rows, forget_images=forget_images, seed=seed
    )
    if forget_class is None:
        named = f"--forget-rows {forget_rows}" if forget_images is None else f"--forget-images {forget_images.source}"
        return _any_class(data, rows, named)
    label = _label(forget_class, images.class_names)
    others = (train.labels != label).nonzero()[:, 0]
    return ImageSplit(
        train.take(rows), train.take(others), _of_test(data, label, same=True), _of_test(data, label, same=False)
    )


def rows_to_forget(
    images: ImageList,
    *,
    forget_class: str | None = None,
    forget_rows: int | None = None,
    forget_images: NamedImages | None = None,
    seed: int = 0,
) -> torch.Tensor:
    """The training images that `split_images` forgets, known before any pixels are read.

    Args:
        images: All training images.
        forget_class, forget_rows, forget_images, seed: As of `split_images`.

    Returns:
        Rows in ascending order.

    Raises:
        InputError: as `split_images`, but for copies, which only their pixels tell.
    """
    check_what_is_forgotten(forget_class, forget_rows, None if forget_images is None else forget_images.source)
    if forget_rows is not None and forget_rows < 1:
        raise InputError(f"--forget-rows {forget_rows} is not 1 or more")
    if forget_images is not None:
        return torch.tensor(forget_images.rows_of(images))
    if forget_class is None:
        assert forget_rows is not None
        if forget_rows >= len(images):
            raise InputError(
                f"--forget-rows {forget_rows}: there are {len(images)} training images; some must be left to keep"
            )
        return _draw(torch.arange(len(images)), forget_rows, seed)
    of_class = (images.labels == _label(forget_class, images.class_names)).nonzero()[:, 0]
    if not len(of_class):
        raise InputError(f"--forget-class {forget_class}: {images.origin} has no image of this class")
    if len(of_class) == len(images):
        raise InputError(f"--forget-class {forget_class}: {images.origin} has no image of any other class to keep")
    return _draw(of_class, min(forget_rows or PAPER_ROWS, len(of_class)), seed)


def _any_class(data: ImageData, forget: torch.Tensor, option: str) -> ImageSplit:
    """These rows are forgotten, and all others are kept, except copies of them."""
    train = data.train
    kept = torch.ones(len(train), dtype=torch.bool)
    kept[forget] = False
    forgotten = {(train.digests[row], int(train.labels[row])) for row in forget.tolist()}
    copies = [row for row in kept.nonzero()[:, 0].tolist() if (train.digests[row], int(train.labels[row])) in forgotten]
    kept[copies] = False
    if copies:
        count = len(copies)
        what = verb(count, "1 copy of an image", f"{count} copies of images")
        logger.info("%s to forget %s left out of those to keep", what, verb(count))
    if not kept.any():
        raise InputError(f"{option}: all other training images are copies of these")
    return ImageSplit(train.take(forget), train.take(kept.nonzero()[:, 0]), data.test, data.test)


def _draw(rows: torch.Tensor, count: int, seed: int) -> torch.Tensor:
    order = torch.randperm(len(rows), generator=torch.Generator().manual_seed(seed))
    return rows[order[:count]].sort().values


def _of_test(data: ImageData, label: int, *, same: bool) -> Images | None:
    if data.test is None:
        return None
    rows = ((data.test.labels == label) == same).nonzero()[:, 0]
    return data.test.take(rows) if len(rows) else None


def _label(name: str, class_names: tuple[str, ...]) -> int:
    if name in class_names:
        return class_names.index(name)
    close = difflib.get_close_matches(name, class_names, n=1, cutoff=0.5)
    hint = (
        f"did you mean {close[0]}?"
        if close
        else f"the classes are {', '.join(class_names[:20])}{', ...' if len(class_names) > 20 else ''}"
    )
    raise InputError(f"--forget-class {name}: there is no such class; {hint}")
