"""Options and functions that the commands share for `--task image`."""

import hashlib
import logging
from collections.abc import Mapping
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING, Any

from ngdiff.cli.parsing import option
from ngdiff.cli.processes import process_count
from ngdiff.data.named_images import NamedImages, check_what_is_forgotten, read_named_images
from ngdiff.errors import InputError, named
from ngdiff.manifest import describe_source
from ngdiff.modeling.folders import check_weights, local_folder
from ngdiff.paths import absolute_source, user_path
from ngdiff.ranges import COUNT, SEED, Range

if TYPE_CHECKING:
    from ngdiff.data import ImageData, Images, ImageSplit, Preparation

logger = logging.getLogger(__name__)


@dataclass
class ImageOptions:
    """The images, and those to be forgotten."""

    dataset: str = option(
        help="cifar10, cifar100, a hub name, a .npz file, or a folder: CLASS/*.png or train/CLASS/*, test/CLASS/*",
        value="DATA",
    )
    forget_class: str | None = option(
        None, help="class to forget; the other classes are kept (the paper: dog, bed)", value="NAME"
    )
    forget_rows: int | None = option(
        None,
        help="images to forget, at most: of the class (500), or without a class of all training images",
        accepted=COUNT,
    )
    forget_images: str | None = option(
        None,
        help="text file that names the images to forget, one a line: of a folder the path below it, else the number of "
        "the training image, from 0",
        value="FILE",
    )
    forget_seed: int = option(0, help="seed of the draw of the images to forget", accepted=SEED)
    image_size: int | None = option(
        None, help="resize all images to this height and width (that of the model)", accepted=Range(1, 16_384)
    )

    def named_images(self) -> NamedImages | None:
        """The names of the images to forget, read; None where they are not named.

        Raises:
            InputError: --forget-class or --forget-rows, too, or a file that cannot be used.
        """
        if self.forget_images is None:
            return None
        check_what_is_forgotten(self.forget_class, self.forget_rows, self.forget_images)
        return read_named_images(self.forget_images)


def split_by(options: ImageOptions, data: "ImageData", names: NamedImages | None) -> "ImageSplit":
    """The sets of a run, by its options and what `ImageOptions.named_images` read.

    Raises:
        InputError: as `ngdiff.data.split_images`.
    """
    from ngdiff.data import split_images

    return split_images(data, **_what_to_forget(options, names))


def _what_to_forget(options: ImageOptions, names: NamedImages | None) -> dict[str, Any]:
    return {
        "forget_class": options.forget_class,
        "forget_rows": options.forget_rows,
        "forget_images": names,
        "seed": options.forget_seed,
    }


def described_names(names: NamedImages | None) -> dict[str, dict[str, Any]]:
    """For the manifest, among what is the user's own: the file that names images, and hashes of it."""
    if names is None:
        return {}
    lines = "\n".join(text for _, text in names.lines)
    return {
        "forget-images": {
            "source": names.source,
            "place": absolute_source(names.source),
            "rows": len(names.lines),
            "sha256": hashlib.sha256(lines.encode()).hexdigest(),
            "file_sha256": names.sha256,
        }
    }


def read_for_model(
    options: ImageOptions, model: str, names: NamedImages | None, *, fresh: bool = False
) -> "tuple[ImageData, Preparation]":
    """The images, and what a model is given of them: as the model's folder says, else by the images' own statistics.

    Args:
        options: Which images.
        model: Folder or hub name.
        names: What `ImageOptions.named_images` read.
        fresh: A model with random weights, which says nothing.

    Raises:
        InputError: nothing that could be forgotten, before any pixels are read; images that cannot be read, or that are
            not of the size that the model takes.
    """
    from ngdiff.data import preparation_of, read_images
    from ngdiff.data.image_split import rows_to_forget

    known = None if fresh else _known_preparation(model)
    size = options.image_size
    if known is not None and known.size is not None and known.size[0] == known.size[1]:
        if size is not None and size != known.size[0]:
            raise InputError(f"--image-size {size}: the model takes images of {known.size[0]}x{known.size[0]}")
        size = known.size[0]
    what = _what_to_forget(options, names)
    forgets = any(what[name] is not None for name in ("forget_class", "forget_rows", "forget_images"))
    check = partial(rows_to_forget, **what) if forgets else None
    data = read_images(options.dataset, size=size, check=check)
    if known is None:
        if not fresh:
            logger.info("%s says nothing of how images are prepared: the statistics of the images are taken", model)
        return data, preparation_of(data.train)
    if known.size is not None and data.train.size != known.size:
        raise InputError(
            f"{data.train.origin}: images of {data.train.size[0]}x{data.train.size[1]} (height x width), and the model "
            f"takes {known.size[0]}x{known.size[1]}"
        )
    return data, known


def check_places(options: ImageOptions, model: str, *, fresh: bool = False) -> None:
    """Refuse files and folders that are not there, before anything is loaded.

    Args:
        options: Which images.
        model: Folder or hub name.
        fresh: A shape with random weights.

    Raises:
        InputError: names option and place; a model without weights; a seed of a draw where nothing is drawn.
    """
    if options.forget_seed and options.forget_rows is None and options.forget_class is None:
        raise InputError(
            f"--forget-seed {options.forget_seed} changes nothing without --forget-class or --forget-rows: no image is "
            "drawn"
        )
    if options.dataset.startswith((".", "/", "~")) and not user_path(options.dataset).exists():
        raise InputError(f"--dataset {options.dataset}: no such file or folder")
    folder = None if fresh else local_folder(model)
    if folder is not None:
        check_weights(folder)


def check_forgotten(options: ImageOptions) -> None:
    """Refuse options that name nothing to forget, before anything is loaded.

    Raises:
        InputError: names the options.
    """
    check_what_is_forgotten(options.forget_class, options.forget_rows, options.forget_images)


def in_order_of(model: Any, split: "ImageSplit", *, name: str, source: str) -> "ImageSplit":
    """The sets with labels in the order of the model's classes, where it names them.

    Args:
        model: The classifier.
        split: The sets.
        name, source: As given to --model and --dataset.

    Raises:
        InputError: other classes, or another number of them.
    """
    from ngdiff.modeling import class_names_of

    with named(f"--model {name} and --dataset {source}:"):
        names = class_names_of(model)
        if names is not None:
            return split.in_order(names)
        outputs, images = int(model.config.num_labels), split.retain
        if outputs != len(images.class_names):
            raise InputError(f"{images.origin} has {len(images.class_names)} classes and the model {outputs} outputs")
        return split


def describe_images(source: str, sets: "Mapping[str, Images]") -> dict[str, dict[str, Any]]:
    """For the manifest: where the images of each set came from, hashes of files, number and hash of images and labels.

    Args:
        source: As given to --dataset.
        sets: Images by set.
    """
    described = describe_source(source) if sets else {}  # every file is read for its hash
    return {name: {**described, "rows": len(images), "rows_sha256": images.sha256()} for name, images in sets.items()}


def _known_preparation(model: str) -> "Preparation | None":
    from ngdiff.data import read_preparation
    from ngdiff.data.preparation import preparation_from

    if user_path(model).is_dir():
        return read_preparation(user_path(model))
    from transformers.image_processing_base import ImageProcessingMixin

    try:
        content, _ = ImageProcessingMixin.get_image_processor_dict(model)
    except (OSError, ValueError):
        return None  # no such name, or none beside the model: loading the model tells which
    return preparation_from(content, f"{model}, preprocessor_config.json")


def refuse_several_processes() -> None:
    """Images are learned, forgotten and evaluated in one process: several would write the same folder.

    Raises:
        InputError: torchrun or its like started several.
    """
    if process_count() > 1:
        raise InputError(f"--task image runs in one process, and {process_count()} were started; leave torchrun out")
