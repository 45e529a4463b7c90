"""Arrays of images: what is taken, and what is refused with a reason."""

from pathlib import Path

import numpy as np
import pytest
import torch

from ngdiff.data import Images, images_from_arrays, read_images
from ngdiff.errors import InputError

RNG = np.random.default_rng(0)
PIXELS = RNG.integers(0, 256, (6, 5, 7, 3), dtype=np.uint8)  # (N, H, W, C)
LABELS = np.array([0, 1, 2, 0, 1, 2])


def test_channels_last_and_first_are_the_same_images():
    last = images_from_arrays(PIXELS, LABELS)
    first = images_from_arrays(PIXELS.transpose(0, 3, 1, 2), LABELS)
    assert last.pixels.shape == (6, 3, 5, 7)
    assert torch.equal(last.pixels, first.pixels)
    for n, c, h, w in [(0, 0, 0, 0), (5, 2, 4, 6), (3, 1, 2, 5)]:
        assert last.pixels[n, c, h, w] == PIXELS[n, h, w, c]
    assert last.class_names == ("0", "1", "2")
    assert last.sha256() == first.sha256()


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_floats_from_0_to_1_are_the_bytes_they_came_from(dtype):
    images = images_from_arrays((PIXELS / 255).astype(dtype), LABELS)
    assert torch.equal(images.pixels, images_from_arrays(PIXELS, LABELS).pixels)


@pytest.mark.parametrize("shape", [(6, 5, 7), (6, 5, 7, 1), (6, 1, 5, 7)])
def test_grey_gets_three_equal_channels(shape):
    grey = PIXELS[..., 0].reshape(shape)
    images = images_from_arrays(grey, LABELS)
    for channel in range(3):
        assert np.array_equal(images.pixels[:, channel].numpy(), PIXELS[..., 0])


def test_labels_in_a_column_of_another_type():
    assert images_from_arrays(PIXELS, LABELS.astype(np.uint8)[:, None]).labels.tolist() == LABELS.tolist()


def test_classes_without_images_are_allowed_where_they_are_named():
    images = images_from_arrays(PIXELS, np.array([0, 3, 3, 0, 3, 0]), ["a", "b", "c", "d"])
    assert images.class_names == ("a", "b", "c", "d")


@pytest.mark.parametrize(
    ("pixels", "labels", "names", "message"),
    [
        (PIXELS, [0, 1, 3, 0, 1, 3], None, "labels from 0 to 3 without 2; they must count from 0 without a gap"),
        (PIXELS, [1, 2, 3, 1, 2, 3], None, "labels from 1 to 3 without 0"),
        (PIXELS, [0, -1, 1, 0, 1, 0], None, "labels from -1 to 1"),
        (PIXELS, [0, 1, 2, 0, 1, 2], ["a", "b"], "they must be from 0 to 1, and image 2 (from 0) has label 2"),
        (PIXELS, [0, 1, 2], None, "6 images and 3 labels"),
        (PIXELS, [0.0, 1, 2, 0, 1, 2], None, "labels are float64 of shape (6,)"),
        (PIXELS[0], LABELS, None, "5 images and 6 labels"),  # one image is taken for grey ones
        (PIXELS[None], LABELS, None, "pixels have shape (1, 6, 5, 7, 3)"),
        (PIXELS.astype(np.float32), LABELS, None, "float32 from 0 to 255; they must be uint8, or floats from 0 to 1"),
        (PIXELS / 255 - 0.5, LABELS, None, "give images before any normalisation"),
        (PIXELS / 254.0 * 0.99, LABELS, None, "no multiples of 1/255"),
        (np.full(PIXELS.shape, np.nan), LABELS, None, "float64 from nan to nan"),
        (PIXELS.astype(np.int32) * 2, LABELS, None, "pixels are int32 from"),
        (PIXELS.astype("U3"), LABELS, None, "they must be uint8"),
        (np.zeros((6, 3, 7, 3), np.uint8), LABELS, None, "the channel dimension is ambiguous"),
        (np.zeros((6, 5, 7, 4), np.uint8), LABELS, None, "neither the second nor the last has 1 or 3 channels"),
        (np.zeros((0, 5, 7, 3), np.uint8), np.zeros(0, int), None, "holds no images"),
    ],
)
def test_what_leaves_open_what_is_meant_is_refused(pixels, labels, names, message):
    with pytest.raises(InputError) as error:
        images_from_arrays(pixels, np.asarray(labels), names, origin="mine")
    assert message in str(error.value)
    assert str(error.value).startswith("mine: ")


def test_npz(tmp_path: Path):
    file = tmp_path / "some.npz"
    np.savez(file, x_train=PIXELS, y_train=LABELS, x_test=PIXELS[:2], y_test=LABELS[:2], class_names=["a", "b", "c"])
    data = read_images(file)
    assert data.class_names == ("a", "b", "c")
    assert data.train.origin == f"{file}:train"
    assert data.test is not None
    assert torch.equal(data.test.pixels, data.train.pixels[:2])
    np.savez(file, x_train=PIXELS, y_train=LABELS)
    assert read_images(file).test is None


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"x_train": PIXELS}, "no array y_train; found x_train"),
        ({"x_train": PIXELS, "y_train": LABELS, "x_test": PIXELS}, "no array y_test"),
        ({"images": PIXELS}, "no array x_train; found images"),
        (
            {"x_train": PIXELS, "y_train": LABELS, "class_names": np.array(["a", {}], dtype=object)},
            "not a readable .npz",
        ),
        ({"x_train": PIXELS, "y_train": LABELS * 0}, "one class only"),
    ],
)
def test_npz_that_cannot_be_used(tmp_path: Path, arrays, message):
    file = tmp_path / "some.npz"
    np.savez(file, **arrays)
    with pytest.raises(InputError, match=r"some\.npz") as error:
        read_images(file)
    assert message in str(error.value)


def test_no_npz(tmp_path: Path):
    with pytest.raises(InputError, match=r"absent\.npz: no such file"):
        read_images(tmp_path / "absent.npz")
    (tmp_path / "text.npz").write_text("no array")
    with pytest.raises(InputError, match=r"not a readable \.npz"):
        read_images(tmp_path / "text.npz")


def test_rows_are_sequences_of_images():
    images = images_from_arrays(PIXELS, LABELS)
    row = images[-1]
    assert torch.equal(row["pixel_values"], images.pixels[5])
    assert row["labels"] == 2
    assert len(list(images)) == 6
    some = images[1:5].take(torch.tensor([0, 2]))
    assert some.places is not None
    assert some.places.tolist() == [1, 3]
    assert [r["pixels_sha256"] for r in some] == [images.digests[1], images.digests[3]]


def test_the_hash_covers_pixels_labels_and_classes():
    images = images_from_arrays(PIXELS, LABELS)
    other = PIXELS.copy()
    other[0, 0, 0, 0] ^= 1
    hashes = {
        images.sha256(),
        images_from_arrays(other, LABELS).sha256(),
        images_from_arrays(PIXELS, LABELS[::-1].copy()).sha256(),
        images_from_arrays(PIXELS, LABELS, ["a", "b", "c"]).sha256(),
        images.take(torch.arange(5)).sha256(),
    }
    assert len(hashes) == 5


@pytest.mark.parametrize(
    ("pixels", "labels"),
    [(torch.zeros(2, 3, 4, 4), torch.zeros(2, dtype=torch.int64)), (torch.zeros(2, 3, 4, 4).byte(), torch.zeros(2))],
)
def test_parts_that_do_not_fit(pixels, labels):
    with pytest.raises(InputError, match="must be"):
        Images(pixels, labels, ("a", "b"))
