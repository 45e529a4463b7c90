"""Convert images opened by Pillow to RGB bytes, or refuse them with the reason.

| mode                      | what happens                                                                             |
|---------------------------|------------------------------------------------------------------------------------------|
| 1, L, P, RGB, CMYK, YCbCr | as Pillow converts them                                                                  |
| LA, RGBA, P with alpha    | the colours; transparency is dropped; refused: no visible pixel, or the picture in it    |
| I;16 in any byte order    | 65535 is white (4095 in a TIFF of 12 bits): `round(255 v / white)`                       |
| I, F                      | bytes in another type, 0 to 255 or multiples of 1/255 from 0 to 1; all else is refused   |
| LAB and others            | refused                                                                                  |
"""

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ngdiff.errors import InputError

_PLAIN = ("1", "L", "P", "RGB", "CMYK", "YCbCr")
_ALPHA = ("LA", "PA", "RGBA")
# Tags of TIFF files.
_BITS, _PHOTOMETRIC, _WHITE_IS_ZERO = 258, 262, 0


def rgb_bytes(image: Any, origin: str) -> NDArray[np.uint8]:
    """(H, W, 3) uint8 of a `PIL.Image.Image`.

    Raises:
        InputError: a mode or values for which the value of white is unknown.

    >>> from PIL import Image
    >>> rgb_bytes(Image.new("L", (1, 1), 7), "demo").tolist()
    [[[7, 7, 7]]]
    """
    if image.mode in _ALPHA or (image.mode in _PLAIN and "transparency" in image.info):  # as PNG and GIF may have it
        return _without_alpha(image if image.mode == "RGBA" else image.convert("RGBA"), origin)
    if image.mode in _PLAIN:
        return np.array(image.convert("RGB"))
    if image.mode.startswith("I;16") or (image.mode == "I" and image.format in ("PNG", "PPM")):
        grey = _of_16_bits(image, origin)
    elif image.mode in ("I", "F"):
        grey = as_bytes(np.array(image), origin)
    else:
        raise InputError(f"{origin}: images of mode {image.mode} are not supported; save it as 8-bit grey or RGB")
    return np.repeat(grey[:, :, None], 3, axis=2)


def as_bytes(pixels: NDArray[Any], origin: str) -> NDArray[np.uint8]:
    """Pixels of another dtype, losslessly converted to bytes.

    Args:
        pixels: Of any shape: whole numbers from 0 to 255, or multiples of 1/255 from 0 to 1.
        origin: Their name in messages.

    Raises:
        InputError: other values.
    """
    if pixels.dtype == np.uint8:
        return pixels
    if not (np.issubdtype(pixels.dtype, np.floating) or np.issubdtype(pixels.dtype, np.integer)):
        raise InputError(f"{origin}: pixels are {pixels.dtype}; they must be uint8, or floats from 0 to 1")
    low, high = (float(pixels.min()), float(pixels.max())) if pixels.size else (0.0, 0.0)
    whole = np.issubdtype(pixels.dtype, np.integer)
    if not (low >= 0 and high <= (255 if whole else 1)):  # also refuses NaN
        raise InputError(
            f"{origin}: pixels are {pixels.dtype} from {low:g} to {high:g}; they must be uint8, or floats from 0 to 1: "
            "give images before any normalisation, which is done here"
        )
    if whole:
        return pixels.astype(np.uint8)
    found = np.empty(pixels.shape, dtype=np.uint8)
    for place in range(len(pixels)):  # in pieces: as float64 they take eight times the memory
        scaled = pixels[place].astype(np.float64) * 255.0
        rounded = np.round(scaled)
        if float(np.abs(rounded - scaled).max(initial=0.0)) > 0.01:
            raise InputError(
                f"{origin}: float pixels that are no multiples of 1/255 would lose digits; give uint8 pixels"
            )
        found[place] = rounded
    return found


def _without_alpha(image: Any, origin: str) -> NDArray[np.uint8]:
    alpha, colours = np.array(image.getchannel("A")), np.array(image.convert("RGB"))
    if alpha.max(initial=0) == 0:
        raise InputError(f"{origin}: fully transparent, so that it shows nothing; save it without transparency")
    if alpha.min(initial=255) < alpha.max(initial=0) and (colours == colours[0, 0]).all():
        raise InputError(
            f"{origin}: a single colour, and the picture in its transparency, which is dropped; save it without "
            "transparency"
        )
    return colours


def _of_16_bits(image: Any, origin: str) -> NDArray[np.uint8]:
    tags = getattr(image, "tag_v2", {})
    if tags.get(_PHOTOMETRIC) == _WHITE_IS_ZERO:
        raise InputError(f"{origin}: a TIFF of {image.mode} in which 0 is white; save it as 8-bit grey or RGB")
    bits = tags.get(_BITS, (16,))
    white = (1 << int(bits[0] if isinstance(bits, tuple) else bits)) - 1
    values = np.array(image).astype(np.uint32)
    if values.max(initial=0) > white:
        raise InputError(f"{origin}: pixels up to {values.max()}, and its white is {white}")
    return ((values * 255 + white // 2) // white).astype(np.uint8)
