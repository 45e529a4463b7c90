"""`read_images`: read a data set of images from any supported source."""

import logging
import os
import struct
import warnings
import zipfile
import zlib
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import torch

from ngdiff.data import shown
from ngdiff.data.cifar import HUB_IDS
from ngdiff.data.folders import SAVED_DAMAGE, is_saved_dataset
from ngdiff.data.hub import HUB_NAME
from ngdiff.data.image_arrays import read_npz
from ngdiff.data.image_folders import check_image_folder
from ngdiff.data.image_list import ImageList, ListCheck
from ngdiff.data.images import ImageData, Images, named_image
from ngdiff.data.pixels import rgb_bytes
from ngdiff.data.progress import with_bar
from ngdiff.data.unpacked import check_memory
from ngdiff.errors import InputError
from ngdiff.paths import user_path
from ngdiff.plurals import some_of, verb

logger = logging.getLogger(__name__)

# Names of splits; the first that exists is used.
_TRAIN, _TEST = ("train", "training"), ("test", "validation", "valid", "val", "testing")
# Preferred label columns, if there are several: CIFAR-100 has fine and coarse labels.
_LABELS = ("label", "labels", "fine_label")


def read_images(source: Any, *, size: int | None = None, check: ListCheck | None = None) -> ImageData:
    """All images of a data set, in memory, as RGB images of one size.

    Args:
        source: One of
            - `FILE.npz`: see `ngdiff.data.image_arrays.read_npz`;
            - a folder of images, `CLASS/*.png` or `train/CLASS/*.png` and `test/CLASS/*.png`, as `datasets` reads it;
            - a folder written by `datasets.save_to_disk`;
            - `cifar10`, `cifar100`, or another name on the hub;
            - a `datasets.Dataset` or `DatasetDict` with a column of images and one of class labels;
            - an `ImageData`.
        size: Height and width to which images are resized (bilinear); None: all images must have one size.
        check: Called with the list of the images as soon as it is known: of all sources but arrays before any pixels
            are read. What it raises ends the reading.

    Raises:
        InputError: a missing source, missing columns, images of several sizes, or fewer than two classes.
    """
    if size is not None and size < 1:
        raise InputError(f"--image-size {size} is not 1 or more")
    data = _read(source, size, check)
    if len(data.class_names) < 2:
        raise InputError(f"{data.train.origin}: one class only; a classifier needs two")
    if size is None and data.test is not None and data.test.size != data.train.size:
        raise InputError(
            f"{data.test.origin}: images of {_shown(data.test.size)} and training images of {_shown(data.train.size)}; "
            "give --image-size"
        )
    return data


def _read(source: Any, size: int | None, check: ListCheck | None) -> ImageData:
    import datasets

    if isinstance(source, ImageData):
        return _checked(source, size, check)
    if isinstance(source, datasets.Dataset):
        return _decoded_all([_Listed(source, "the data set")], size, check)
    if isinstance(source, Mapping):
        return _from_splits(source, "the data set", size, check)
    if not isinstance(source, str | os.PathLike):
        raise InputError(
            f"--dataset: cannot read images from a {type(source).__name__}; accepted are a path, a hub name, a "
            "datasets.Dataset and an ImageData"
        )
    if not os.fspath(source):  # Path("") would be the current folder
        raise InputError("--dataset '': no such file or folder")
    path = user_path(os.fspath(source), "--dataset")
    if path.suffix == ".npz":
        return _checked(read_npz(path), size, check)
    if path.is_dir():
        return _from_folder(path, size, check)
    if path.exists():
        raise InputError(f"--dataset {source}: not a .npz file and not a folder of images")
    return _from_hub(str(source), size, check)


def _from_folder(path: Path, size: int | None, check: ListCheck | None) -> ImageData:
    import datasets
    from datasets.exceptions import DatasetsError

    saved = is_saved_dataset(path)
    if not saved:
        check_image_folder(path, (*_TRAIN, *_TEST))
    try:
        if saved:
            loaded: Any = datasets.load_from_disk(str(path))
        else:
            # Labels are requested explicitly: with a single class, they would silently be omitted.
            with _without_bars():
                loaded = datasets.load_dataset("imagefolder", data_dir=str(path), drop_labels=False)
    except (*SAVED_DAMAGE, zipfile.BadZipFile, DatasetsError) as error:
        raise InputError(f"--dataset {path}: no images could be read: {str(error).partition(chr(10))[0]}") from error
    root = None if saved else path.resolve()
    if isinstance(loaded, datasets.Dataset):
        return _decoded_all([_Listed(loaded, str(path))], size, check)
    return _from_splits(loaded, str(path), size, check, root)


@contextmanager
def _without_bars() -> Iterator[None]:
    """Within, `datasets` shows none: of a local folder it would say that it is downloading data."""
    import datasets

    shown = not datasets.are_progress_bars_disabled()
    datasets.disable_progress_bars()
    try:
        yield
    finally:
        if shown:
            datasets.enable_progress_bars()


def _from_hub(name: str, size: int | None, check: ListCheck | None) -> ImageData:
    import datasets
    from datasets.exceptions import DatasetsError

    full = HUB_IDS.get(name, name)
    if HUB_NAME.fullmatch(full) is None or name.startswith((".", "/", "~")):
        raise InputError(f"--dataset {name or repr(name)}: no such file or folder")
    try:
        loaded: Any = datasets.load_dataset(full)
    except (OSError, ValueError, DatasetsError) as error:
        reason = str(error).partition("\n")[0]
        raise InputError(
            f"--dataset {name}: no file or folder of that name here, and it could not be loaded from the hub ({reason})"
        ) from error
    return _from_splits(loaded, full, size, check)


def _from_splits(
    splits: Mapping[str, Any], origin: str, size: int | None, check: ListCheck | None, root: Path | None = None
) -> ImageData:
    """`root`: the folder that the images are files of; None where they are no files."""
    train, test = (next((splits[name] for name in names if name in splits), None) for names in (_TRAIN, _TEST))
    if train is None:
        raise InputError(f"{origin}: no split {' or '.join(_TRAIN)}; found {', '.join(map(str, splits)) or 'none'}")
    found = [_Listed(train, f"{origin}:train", root)]
    if test is not None:
        found.append(_Listed(test, f"{origin}:test", root))
        if found[1].class_names != found[0].class_names:
            raise InputError(f"{origin}: the classes of the test images are not those of the training images")
    return _decoded_all(found, size, check)


class _Listed:
    """A split whose images are known, but not yet read.

    Args:
        dataset: A `datasets.Dataset`.
        origin: What messages call it.
        root: The folder that the images are files of; None where they are no files.

    Raises:
        InputError: no column of images or of class labels, several of images, no image, or one without a label.
    """

    def __init__(self, dataset: Any, origin: str, root: Path | None = None) -> None:
        import datasets

        features = dataset.features
        columns = [name for name, kind in features.items() if isinstance(kind, datasets.Image)]
        if len(columns) != 1:
            raise InputError(
                f"{origin}: {len(columns)} columns of images among {shown.columns(features)}; there must be one"
            )
        labels = [name for name, kind in features.items() if isinstance(kind, datasets.ClassLabel)]
        if len(labels) > 1:
            labels = [name for name in _LABELS if name in labels][:1]
        if not labels:
            raise InputError(
                f"{origin}: no column of class labels (datasets.ClassLabel) among {shown.columns(features)}; a folder "
                "of images needs a folder for each class"
            )
        if not len(dataset):
            raise InputError(f"{origin}: holds no images")
        self.dataset, self.origin, self.column = dataset, origin, columns[0]
        self._places = _files(dataset.select_columns([self.column]), self.column)
        self.files = None if root is None else _below(root, self._places)
        if None in (values := dataset[labels[0]][:]):
            raise InputError(f"{self.name(values.index(None))}: no label, but a null")
        # Labels of -1, which stand for hidden test labels, are refused like all labels out of range.
        self.labels = torch.tensor(values, dtype=torch.int64)
        self.class_names = tuple(str(name) for name in features[labels[0]].names)

    def name(self, row: int) -> str:
        """An image, in messages."""
        return f"{self.origin}, {named_image(row, self.files, self._places[row])}"

    def decoded(self, size: int | None) -> Images:
        """The images, read."""
        pixels = _decoded(self, size)
        return Images(pixels, self.labels, self.class_names, self.origin, files=self.files)


def _decoded_all(found: Sequence[_Listed], size: int | None, check: ListCheck | None) -> ImageData:
    """Training images, and test images where there are any, read once their list is checked."""
    train, test = found[0], found[1] if len(found) > 1 else None
    if check is not None:
        check(
            ImageList(train.labels, train.class_names, train.origin, train.files, None if test is None else test.files)
        )
    return ImageData(*(one.decoded(size) for one in found))


def _checked(data: ImageData, size: int | None, check: ListCheck | None) -> ImageData:
    """Images that are read already."""
    if check is not None:
        check(ImageList.of(data))
    return _resized(data, size)


def _decoded(listed: _Listed, size: int | None) -> torch.Tensor:
    """(N, 3, H, W) uint8."""
    import datasets
    from PIL import Image

    pixels: torch.Tensor | None = None
    first = (0, 0)
    column, origin = listed.column, listed.origin
    images = listed.dataset.select_columns([column])
    if images.features[column].mode is not None:  # of how modes are changed, see `ngdiff.data.pixels`
        images = images.cast_column(column, datasets.Image())
    if size is not None:
        check_memory(origin, 3 * len(images) * size * size)
    several: list[str] = []
    for number in with_bar(range(len(images)), f"reading {origin}", total=len(images), unit="image"):
        name = listed.name(number)
        with _opened(images, number, column, name) as image:
            array = rgb_bytes(image, name)
            if getattr(image, "is_animated", False) and image.format != "MPO":  # in which cameras keep previews
                several.append(name)
        if size is not None and image.size != (size, size):
            array = np.array(Image.fromarray(array).resize((size, size), Image.Resampling.BILINEAR))
        own = torch.from_numpy(array).permute(2, 0, 1)
        if pixels is None:
            first = (own.shape[1], own.shape[2])
            check_memory(origin, len(images) * own.numel())
            pixels = torch.empty(len(images), *own.shape, dtype=torch.uint8)
        elif own.shape[1:] != first:
            raise InputError(
                f"{name}: {_shown((own.shape[1], own.shape[2]))} pixels, and the first image has "
                f"{_shown(first)}; give --image-size to bring all to one size"
            )
        pixels[number] = own
    if several:
        logger.warning(
            "%s of %s %s several frames, of which the first is taken, such as %s.",
            some_of(len(several), len(images), "image"),
            origin,
            verb(len(several), "has", "have"),
            several[0],
        )
    assert pixels is not None
    return pixels


def _files(images: Any, column: str) -> list[str | None]:
    """The file of each image, where the data set knows it."""
    import pyarrow.compute

    files: list[str | None] = pyarrow.compute.struct_field(images.with_format("arrow")[:][column], "path").to_pylist()
    return files


def _below(root: Path, files: Sequence[str | None]) -> tuple[str, ...] | None:
    """Paths of files below a folder; None where any lies elsewhere, such as in an archive."""
    paths = [Path(file or "") for file in files]
    if not all(path.is_relative_to(root) for path in paths):
        return None
    return tuple(path.relative_to(root).as_posix() for path in paths)


def _opened(images: Any, number: int, column: str, origin: str) -> Any:
    """The image as Pillow opens it, rotated according to its EXIF data.

    Raises:
        InputError: no image, a damaged one, or one so large that Pillow warns about it.
    """
    from PIL import Image

    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error", Image.DecompressionBombWarning)
            image = images[number][column]
    except (Image.DecompressionBombWarning, Image.DecompressionBombError) as error:
        raise InputError(f"{origin}: too large: {error}") from error
    except (OSError, ValueError, SyntaxError, EOFError, struct.error, zlib.error) as error:  # of Pillow's readers
        raise InputError(f"{origin}: cannot be read: {error}") from error
    if image is None:
        raise InputError(f"{origin}: no image, but a null")
    return image


def _resized(data: ImageData, size: int | None) -> ImageData:
    if size is None:
        return data
    return ImageData(_resize(data.train, size), None if data.test is None else _resize(data.test, size))


def _resize(images: Images, size: int) -> Images:
    from PIL import Image

    if images.size == (size, size):
        return images
    resized = [
        np.array(Image.fromarray(image).resize((size, size), Image.Resampling.BILINEAR))
        for image in images.pixels.permute(0, 2, 3, 1).numpy()
    ]
    pixels = torch.from_numpy(np.stack(resized)).permute(0, 3, 1, 2).contiguous()
    return replace(images, pixels=pixels)


def _shown(size: tuple[int, int]) -> str:
    return f"{size[1]}x{size[0]}"
