"""Read and validate arrays of images and labels from numpy files."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ngdiff.data.images import ImageData, Images
from ngdiff.data.npz import read_arrays
from ngdiff.data.pixels import as_bytes
from ngdiff.errors import InputError
from ngdiff.paths import user_path

_CHANNELS = (1, 3)


def read_npz(path: str | Path) -> ImageData:
    """Images of a `.npz` file.

    It holds `x_train` and `y_train`, and may hold `x_test` and `y_test`, as `images_from_arrays` takes them, and
    `class_names`. Nothing is unpickled.

    Raises:
        InputError: no such file, not a `.npz` file, an array missing, or one that cannot be used.
    """
    path = user_path(path, "--dataset")
    if not path.is_file():
        raise InputError(f"--dataset {path}: no such file")
    arrays, found = read_arrays(path, _NAMES)
    for name in ("x_train", "y_train", *(("y_test",) if "x_test" in arrays else ())):
        if name not in arrays:
            raise InputError(f"{path}: no array {name}; found {', '.join(found) or 'none'}")
    class_names = _class_names(arrays["class_names"], path) if "class_names" in arrays else None
    if class_names is None:
        splits = [arrays[name] for name in ("y_train", "y_test") if name in arrays]
        class_names = _names_of(np.concatenate([labels.reshape(-1) for labels in splits]), str(path))
    return ImageData(
        images_from_arrays(arrays["x_train"], arrays["y_train"], class_names, origin=f"{path}:train"),
        images_from_arrays(arrays["x_test"], arrays["y_test"], class_names, origin=f"{path}:test")
        if "x_test" in arrays
        else None,
    )


_NAMES = ("x_train", "y_train", "x_test", "y_test", "class_names")


def images_from_arrays(
    pixels: Any, labels: Any, class_names: Sequence[str] | None = None, *, origin: str = "images"
) -> Images:
    """Images of an array, or a tensor, of pixels and one of labels.

    Args:
        pixels: (N, H, W, C), (N, C, H, W) or, in grey, (N, H, W): uint8, or floats from 0 to 1 that are multiples of
            1/255. Grey is given three equal channels.
        labels: (N,) or (N, 1) whole numbers from 0.
        class_names: Names by label; by default the labels themselves, of which none may be left out then.
        origin: Their name in messages.

    Raises:
        InputError: an ambiguous shape, type or range; labels with a gap.
    """
    own = _channels_first(_array(pixels, origin), origin)
    given = _array(labels, origin)
    given = given[:, 0] if given.ndim == 2 and given.shape[1] == 1 else given
    if given.ndim != 1 or not (np.issubdtype(given.dtype, np.integer)):
        raise InputError(
            f"{origin}: labels are {given.dtype} of shape {given.shape}; they must be whole numbers, one for each image"
        )
    if len(given) != len(own):
        raise InputError(f"{origin}: {len(own)} images and {len(given)} labels; there must be as many of both")
    if not len(own):
        raise InputError(f"{origin}: holds no images")
    names = _names_of(given, origin) if class_names is None else list(class_names)
    return Images(torch.from_numpy(own), torch.from_numpy(given.astype(np.int64)), tuple(names), origin)


def _channels_first(pixels: NDArray[Any], origin: str) -> NDArray[np.uint8]:
    """(N, 3, H, W), contiguous."""
    shape = pixels.shape
    if 0 in shape[1:]:
        raise InputError(f"{origin}: pixels have shape {shape}: images without a pixel")
    if pixels.ndim == 3:
        pixels = pixels[:, None]
    elif pixels.ndim != 4:
        raise InputError(
            f"{origin}: pixels have shape {shape}; expected (images, height, width, channels) or "
            "(images, channels, height, width)"
        )
    elif shape[1] in _CHANNELS and shape[3] in _CHANNELS:
        raise InputError(
            f"{origin}: pixels have shape {shape}: the channel dimension is ambiguous, since two dimensions have 1 or "
            "3 entries"
        )
    elif shape[3] in _CHANNELS:
        pixels = pixels.transpose(0, 3, 1, 2)
    elif shape[1] not in _CHANNELS:
        raise InputError(f"{origin}: pixels have shape {shape}; neither the second nor the last has 1 or 3 channels")
    pixels = as_bytes(pixels, origin)
    if pixels.shape[1] == 1:
        pixels = pixels.repeat(3, axis=1)
    return np.ascontiguousarray(pixels)


def _names_of(labels: NDArray[Any], origin: str) -> list[str]:
    """Labels as names, where there is at least one image of each."""
    if not np.issubdtype(labels.dtype, np.integer):
        raise InputError(f"{origin}: labels are {labels.dtype}; they must be whole numbers, one for each image")
    present = np.unique(labels)
    if not len(present):
        raise InputError(f"{origin}: holds no images")
    # Check the largest label before allocating anything of that length.
    expected = np.arange(len(present), dtype=present.dtype)
    if not np.array_equal(present, expected):
        gap = np.nonzero(present != expected)[0][0]
        raise InputError(
            f"{origin}: labels from {present[0]} to {present[-1]}"
            f"{'' if present[0] < 0 else f' without {gap}'}; they must count from 0 without a gap, or class_names must "
            "name every class"
        )
    return [str(label) for label in present]


def _class_names(names: NDArray[Any], path: Path) -> list[str]:
    if names.ndim != 1 or names.dtype.kind not in "USiu":
        raise InputError(f"{path}: class_names are {names.dtype} of shape {names.shape}; they must be a list of names")
    try:
        found = [name.decode() if isinstance(name, bytes) else str(name) for name in names.tolist()]
        "".join(found).encode()
    except UnicodeError as error:
        raise InputError(f"{path}: class_names hold a name that is not UTF-8 text") from error
    if len(set(found)) < len(found):
        raise InputError(f"{path}: class_names hold a name twice; each class needs one of its own")
    return found


def _array(values: Any, origin: str) -> NDArray[Any]:
    try:
        return np.asarray(values)
    except (ValueError, TypeError) as error:  # lists of several lengths, types that numpy does not have
        raise InputError(f"{origin}: no array of numbers: {error}") from error
