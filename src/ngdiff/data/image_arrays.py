"""Arrays of images and labels, as numpy files hold them, checked."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray

from ngdiff.data.images import ImageData, Images
from ngdiff.errors import InputError

_CHANNELS = (1, 3)


def read_npz(path: str | Path) -> ImageData:
    """Images of a `.npz` file.

    It holds `x_train` and `y_train`, and may hold `x_test` and `y_test`, as `images_from_arrays` takes them, and
    `class_names`. Nothing is unpickled.

    Raises:
        InputError: no such file, not a `.npz` file, an array missing, or one that cannot be used.
    """
    path = Path(path).expanduser()
    if not path.is_file():
        raise InputError(f"--dataset {path}: no such file")
    try:
        with np.load(path, allow_pickle=False) as file:
            arrays = {name: file[name] for name in file.files if name in _NAMES}
            found = list(file.files)
    except (ValueError, OSError, EOFError, AttributeError) as error:  # AttributeError: a single array, `.npy`
        raise InputError(f"{path}: not a readable .npz file of plain arrays: {error}") from error
    for name in ("x_train", "y_train", *(("y_test",) if "x_test" in arrays else ())):
        if name not in arrays:
            raise InputError(f"{path}: no array {name}; found {', '.join(found) or 'none'}")
    names = arrays.get("class_names")
    class_names = None if names is None else [str(name) for name in names.tolist()]
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
        class_names: names by label; by default the labels themselves, of which none may be left out then.
        origin: what they are called in messages.

    Raises:
        InputError: a shape, type or range that leaves open what is meant; labels that leave a gap.
    """
    own = _channels_first(_as_bytes(np.asarray(pixels), origin), origin)
    given = np.asarray(labels)
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


def _as_bytes(pixels: NDArray[Any], origin: str) -> NDArray[np.uint8]:
    if pixels.dtype == np.uint8:
        return pixels
    if not (np.issubdtype(pixels.dtype, np.floating) or np.issubdtype(pixels.dtype, np.integer)):
        raise InputError(f"{origin}: pixels are {pixels.dtype}; they must be uint8, or floats from 0 to 1")
    low, high = (float(pixels.min()), float(pixels.max())) if pixels.size else (0.0, 0.0)
    whole = np.issubdtype(pixels.dtype, np.integer)
    scaled = pixels if whole else pixels.astype(np.float64) * 255.0
    if not (low >= 0 and high <= (255 if whole else 1)):  # also where one is not a number
        raise InputError(
            f"{origin}: pixels are {pixels.dtype} from {low:g} to {high:g}; they must be uint8, or floats from 0 to 1: "
            "give images before any normalisation, which is done here"
        )
    rounded = np.round(scaled)
    if not whole and float(np.abs(rounded - scaled).max(initial=0.0)) > 0.01:
        raise InputError(f"{origin}: float pixels that are no multiples of 1/255 would lose digits; give uint8 pixels")
    return rounded.astype(np.uint8)


def _channels_first(pixels: NDArray[np.uint8], origin: str) -> NDArray[np.uint8]:
    """(N, 3, H, W), contiguous."""
    shape = pixels.shape
    if pixels.ndim == 3:
        pixels = pixels[:, None]
    elif pixels.ndim != 4:
        raise InputError(
            f"{origin}: pixels have shape {shape}; expected (images, height, width, channels) or "
            "(images, channels, height, width)"
        )
    elif shape[1] in _CHANNELS and shape[3] in _CHANNELS:
        raise InputError(
            f"{origin}: pixels have shape {shape}: either of two dimensions may be the channels; images this narrow "
            "cannot be told apart"
        )
    elif shape[3] in _CHANNELS:
        pixels = pixels.transpose(0, 3, 1, 2)
    elif shape[1] not in _CHANNELS:
        raise InputError(f"{origin}: pixels have shape {shape}; neither the second nor the last has 1 or 3 channels")
    if pixels.shape[1] == 1:
        pixels = pixels.repeat(3, axis=1)
    return np.ascontiguousarray(pixels)


def _names_of(labels: NDArray[Any], origin: str) -> list[str]:
    """Labels as names, where there is at least one image of each."""
    if not np.issubdtype(labels.dtype, np.integer):
        raise InputError(f"{origin}: labels are {labels.dtype}; they must be whole numbers, one for each image")
    present = set(labels.tolist())
    if not present:
        raise InputError(f"{origin}: holds no images")
    missing = sorted(set(range(max(present) + 1)) - present)
    if missing or min(present) < 0:
        raise InputError(
            f"{origin}: labels from {min(present)} to {max(present)}"
            f"{f' without {missing[0]}' if missing else ''}; they must count from 0 without a gap, or class_names must "
            "name every class"
        )
    return [str(label) for label in range(max(present) + 1)]
