"""Every mode of an image: the right bytes, or a refusal that says what would do."""

import io
import warnings
from pathlib import Path
from typing import Any

import datasets
import numpy as np
import pytest
from PIL import Image

from ngdiff.data import read_images
from ngdiff.data.pixels import as_bytes, rgb_bytes
from ngdiff.errors import InputError

RNG = np.random.default_rng(0)
GREY = RNG.integers(0, 256, (4, 5), dtype=np.uint8)
DEEP = RNG.integers(0, 65536, (4, 5), dtype=np.uint16)
COLOUR = RNG.integers(0, 256, (4, 5, 3), dtype=np.uint8)


def reopened(image: Image.Image, form: str, **options: Any) -> Image.Image:
    file = io.BytesIO()
    image.save(file, format=form, **options)
    return Image.open(io.BytesIO(file.getvalue()))


def grey(values: np.ndarray) -> np.ndarray:
    return np.repeat(values[:, :, None], 3, axis=2)


def scaled(values: np.ndarray, white: int = 65535) -> np.ndarray:
    """Slow and plain: the nearest byte to 255 v / white."""
    nearest = [[int(255 * int(v) / white + 0.5) for v in row] for row in values]
    return grey(np.array(nearest, dtype=np.uint8))


@pytest.mark.parametrize("form", ["PNG", "TIFF", "PPM", "JPEG2000"])
def test_16_bits_keep_their_brightness(form: str):
    image = reopened(Image.fromarray(DEEP), form)
    assert np.array_equal(rgb_bytes(image, "x"), scaled(DEEP))


@pytest.mark.parametrize("mode", ["I;16", "I;16L", "I;16B"])
def test_16_bits_in_either_byte_order(mode: str):
    raw = DEEP.astype(">u2" if mode == "I;16B" else "<u2").tobytes()
    image = Image.frombytes(mode, (5, 4), raw)
    for found in (image, reopened(image, "TIFF")):
        assert np.array_equal(rgb_bytes(found, "x"), scaled(DEEP))


def test_extremes_of_16_bits():
    image = Image.fromarray(np.array([[0, 128, 129, 257, 32768, 65535]], dtype=np.uint16))
    assert rgb_bytes(image, "x")[0, :, 0].tolist() == [0, 0, 1, 1, 128, 255]


def tagged(image: Image.Image, tags: dict[int, Any]) -> Image.Image:
    """As a TIFF with these tags."""
    found = reopened(image, "TIFF")
    found.load()
    for tag, value in tags.items():
        found.tag_v2[tag] = value
    return found


def test_12_bits_have_another_white():
    values = DEEP % 4096
    image = tagged(Image.fromarray(values), {258: (12,)})
    assert np.array_equal(rgb_bytes(image, "x"), scaled(values, 4095))
    with pytest.raises(InputError, match=r"x: pixels up to \d+, and its white is 4095"):
        rgb_bytes(tagged(Image.fromarray(DEEP), {258: (12,)}), "x")


def test_16_bits_in_which_0_is_white_are_refused():
    with pytest.raises(InputError, match="x: a TIFF of I;16 in which 0 is white; save it as 8-bit grey or RGB"):
        rgb_bytes(tagged(Image.fromarray(DEEP), {262: 0}), "x")


@pytest.mark.parametrize("kind", [np.int32, np.float32])
def test_bytes_in_another_type(kind: type):
    values = GREY.astype(kind) if kind is np.int32 else (GREY / 255.0).astype(kind)
    assert np.array_equal(rgb_bytes(reopened(Image.fromarray(values), "TIFF"), "x"), grey(GREY))


@pytest.mark.parametrize(
    ("values", "message"),
    [
        (np.array([[0, 256]], dtype=np.int32), "pixels are int32 from 0 to 256; they must be uint8"),
        (np.array([[-1, 5]], dtype=np.int32), "pixels are int32 from -1 to 5"),
        (np.array([[0.0, 1.5]], dtype=np.float32), "pixels are float32 from 0 to 1.5"),
        (np.array([[0.0, np.nan]], dtype=np.float32), "pixels are float32 from nan to nan"),
        (np.array([[0.0, 0.4999]], dtype=np.float32), "no multiples of 1/255"),
    ],
)
def test_32_bits_without_a_white_are_refused(values: np.ndarray, message: str):
    with pytest.raises(InputError, match=message):
        rgb_bytes(reopened(Image.fromarray(values), "TIFF"), "x")


def test_8_bits():
    assert np.array_equal(rgb_bytes(Image.fromarray(GREY), "x"), grey(GREY))
    assert np.array_equal(rgb_bytes(Image.fromarray(COLOUR), "x"), COLOUR)
    bits = GREY > 127
    assert np.array_equal(rgb_bytes(reopened(Image.fromarray(bits), "PNG"), "x"), grey(bits * np.uint8(255)))
    palette = Image.fromarray(COLOUR).quantize(20)
    assert np.array_equal(rgb_bytes(reopened(palette, "PNG"), "x"), np.array(palette.convert("RGB")))


def test_cmyk():
    ink = Image.new("CMYK", (2, 1), (255, 0, 0, 0))
    ink.putpixel((1, 0), (0, 0, 0, 255))
    assert rgb_bytes(reopened(ink, "TIFF"), "x").tolist() == [[[0, 255, 255], [0, 0, 0]]]


def test_transparency_is_dropped_without_a_warning():
    alpha = RNG.integers(0, 256, (4, 5), dtype=np.uint8)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        image = Image.fromarray(np.dstack([COLOUR, alpha]))
        assert np.array_equal(rgb_bytes(reopened(image, "PNG"), "x"), COLOUR)
        image = Image.merge("LA", [Image.fromarray(GREY), Image.fromarray(alpha)])
        assert np.array_equal(rgb_bytes(reopened(image, "PNG"), "x"), grey(GREY))
        palette = Image.fromarray(COLOUR).quantize(20)
        expected = np.array(palette.convert("RGB"))
        for transparency in (3, bytes(range(20))):
            image = reopened(palette, "PNG", transparency=transparency)
            assert image.mode == "P"
            assert np.array_equal(rgb_bytes(image, "x"), expected)


@pytest.mark.parametrize("colours", [1, 3])
def test_a_picture_that_is_all_transparency_is_refused(colours: int):
    alpha = Image.fromarray(GREY)
    black = Image.new("L", alpha.size)
    image = Image.merge("LA" if colours == 1 else "RGBA", [black] * colours + [alpha])
    with pytest.raises(InputError, match="x: a single colour, and the picture in its transparency"):
        rgb_bytes(reopened(image, "PNG"), "x")


@pytest.mark.parametrize("colour", [(0, 0, 0, 0), (200, 30, 4, 0)])
def test_a_fully_transparent_image_is_refused(colour: tuple[int, ...]):
    image = reopened(Image.new("RGBA", (3, 2), colour), "PNG")
    with pytest.raises(InputError, match="x: fully transparent, so that it shows nothing; save it without"):
        rgb_bytes(image, "x")


def test_other_modes_are_refused():
    with pytest.raises(InputError, match="x: images of mode LAB are not supported; save it as 8-bit grey or RGB"):
        rgb_bytes(Image.new("LAB", (2, 2)), "x")


def test_float_images_of_any_shape_against_the_plain_formula():
    bytes_ = RNG.integers(0, 256, (3, 2, 4, 5), dtype=np.uint8)
    for kind in (np.float32, np.float64):
        assert np.array_equal(as_bytes((bytes_ / 255.0).astype(kind), "x"), bytes_)


@pytest.fixture
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))


def test_a_folder_of_deep_images_and_of_turned_ones(tmp_path: Path, own_cache: None):
    for name in ("dark", "light"):
        (tmp_path / name).mkdir()
    Image.fromarray(DEEP // 4).save(tmp_path / "dark" / "0.png")
    # Stored on its side: 6 is a quarter turn, to be turned back when it is shown.
    exif = Image.Exif()
    exif[0x0112] = 6
    Image.fromarray(np.rot90(COLOUR).copy()).save(tmp_path / "light" / "0.png", exif=exif)
    data = read_images(tmp_path)
    assert np.array_equal(data.train.pixels[0].permute(1, 2, 0).numpy(), scaled(DEEP // 4))
    assert np.array_equal(data.train.pixels[1].permute(1, 2, 0).numpy(), COLOUR)


def test_a_data_set_that_asks_for_rgb_keeps_the_brightness_of_16_bits():
    features = datasets.Features({"img": datasets.Image(mode="RGB"), "label": datasets.ClassLabel(names=["a", "b"])})
    images = [Image.fromarray(DEEP), Image.fromarray(DEEP)]
    data = read_images(datasets.Dataset.from_dict({"img": images, "label": [0, 1]}, features=features))
    assert np.array_equal(data.train.pixels[0].permute(1, 2, 0).numpy(), scaled(DEEP))
