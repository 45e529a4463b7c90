"""A file that names the images to forget, one a line."""

import hashlib
from pathlib import Path

import datasets
import numpy as np
import pytest
from PIL import Image

from ngdiff.data import ImageData, images_from_arrays, read_images, read_named_images
from ngdiff.data.image_list import ImageList
from ngdiff.errors import InputError

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))


def numbered(train: int = 6, test: int = 2) -> ImageData:
    def images(count: int, name: str):
        pixels = RNG.integers(0, 256, (count, 4, 4, 3), dtype=np.uint8)
        return images_from_arrays(pixels, np.arange(count) % 2, ["ant", "bee"], origin=name)

    return ImageData(images(train, "data.npz:train"), images(test, "data.npz:test"))


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    for split, count in (("train", 3), ("test", 1)):
        for name in ("cat", "dog"):
            folder = tmp_path / "pets" / split / name
            folder.mkdir(parents=True)
            for number in range(count):
                Image.fromarray(RNG.integers(0, 256, (6, 6, 3), dtype=np.uint8)).save(folder / f"{number}.png")
    return tmp_path / "pets"


def file(folder: Path, text: str | bytes) -> Path:
    path = folder / "named.txt"
    path.write_bytes(text.encode() if isinstance(text, str) else text)
    return path


def test_numbers_of_training_images(tmp_path: Path) -> None:
    path = file(tmp_path, "\ufeff4\r\n\n 0 \n2")
    named = read_named_images(path)
    assert named.rows_of(ImageList.of(numbered())) == [0, 2, 4]
    assert named.sha256 == hashlib.sha256(path.read_bytes()).hexdigest()


def test_paths_below_a_folder(pets: Path, tmp_path: Path) -> None:
    data = read_images(pets)
    assert data.train.files is not None
    rows = read_named_images(file(tmp_path, "train/dog/1.png\n./train//cat/2.png\n")).rows_of(ImageList.of(data))
    assert [data.train.files[row] for row in rows] == ["train/cat/2.png", "train/dog/1.png"]
    for row in rows:
        expected = np.array(Image.open(pets / data.train.files[row]))
        assert np.array_equal(data.train.pixels[row].permute(1, 2, 0).numpy(), expected)


def test_a_folder_behind_a_link_and_images_of_another_size(pets: Path, tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(pets)
    named = read_named_images(file(tmp_path, "train/cat/0.png"))
    assert named.rows_of(ImageList.of(read_images(tmp_path / "link", size=4))) == [0]
    assert named.rows_of(ImageList.of(read_images(read_images(pets), size=4))) == [0]


def test_a_saved_data_set_has_numbers(pets: Path, tmp_path: Path) -> None:
    """What it holds are images without a place, whose names may be there twice."""
    datasets.load_dataset("imagefolder", data_dir=str(pets)).save_to_disk(tmp_path / "saved")
    assert read_named_images(file(tmp_path, "1\n5\n")).rows_of(ImageList.of(read_images(tmp_path / "saved"))) == [1, 5]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("0\n6\n", ", line 2: '6' is no number of a training image of data.npz:train: they are 0 to 5"),
        ("-1", ", line 1: '-1' is no number of a training image of data.npz:train: they are 0 to 5"),
        ("cat/0.png", ", line 1: 'cat/0.png' is no number of a training image of data.npz:train: they are 0 to 5"),
        ("²", ", line 1: '²' is no number of a training image of data.npz:train: they are 0 to 5"),
        ("3\n\n03\n", ", line 3: '03' is the image of line 1, too; name each image once"),
        ("0\n1\n2\n3\n4\n5\n", " names all 6 training images of data.npz:train; some must be left to keep"),
    ],
)
def test_numbers_that_cannot_be_meant(tmp_path: Path, text: str, message: str) -> None:
    path = file(tmp_path, text)
    with pytest.raises(InputError) as caught:
        read_named_images(path).rows_of(ImageList.of(numbered()))
    assert str(caught.value) == f"--forget-images {path}{message}"


def test_a_number_of_many_digits(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"line 1: '9{60}\.\.\.' is no number of a training image"):
        read_named_images(file(tmp_path, "9" * 10_000)).rows_of(ImageList.of(numbered()))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "dog/1.png",
            "line 1: 'dog/1.png' is no training image of {pets}; give its path below that folder, such as "
            "train/cat/0.png",
        ),
        (
            "4",
            "line 1: '4' is no training image of {pets}; give its path below that folder, such as train/cat/0.png",
        ),
        (
            "train/dog/1.png\ntest/dog/0.png\n",
            "line 2: 'test/dog/0.png' is a test image, which the model never saw; name training images",
        ),
        (
            "train/dog/1.png\n./train/dog/1.png\n",
            "line 2: './train/dog/1.png' is the image of line 1, too; name each image once",
        ),
    ],
)
def test_paths_that_cannot_be_meant(pets: Path, tmp_path: Path, text: str, message: str) -> None:
    path = file(tmp_path, text)
    with pytest.raises(InputError) as caught:
        read_named_images(path).rows_of(ImageList.of(read_images(pets)))
    assert str(caught.value) == f"--forget-images {path}, {message.format(pets=f'{pets}:train')}"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "names no image; expected one a line"),
        (b"\n  \n", "names no image; expected one a line"),
        (b"cat/\xff.png", "not UTF-8 text (byte 4)"),
    ],
)
def test_a_file_that_names_nothing(tmp_path: Path, content: bytes, message: str) -> None:
    path = file(tmp_path, content)
    with pytest.raises(InputError) as caught:
        read_named_images(path)
    assert str(caught.value) == f"--forget-images {path}: {message}"


def test_no_file(tmp_path: Path) -> None:
    with pytest.raises(InputError, match=r"--forget-images .*none\.txt: cannot be read \(No such file or directory\)"):
        read_named_images(tmp_path / "none.txt")
    with pytest.raises(InputError, match="is no regular file but a folder"):
        read_named_images(tmp_path)
