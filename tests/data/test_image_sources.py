"""Images from folders, data sets and hubs."""

from pathlib import Path

import datasets
import numpy as np
import pytest
import torch
from PIL import Image

from ngdiff.data import ImageData, images_from_arrays, read_images
from ngdiff.errors import InputError

RNG = np.random.default_rng(0)


def picture(size: tuple[int, int] = (6, 6), mode: str = "RGB") -> Image.Image:
    shape = (size[1], size[0]) if mode == "L" else (size[1], size[0], len(mode))
    return Image.fromarray(RNG.integers(0, 256, shape, dtype=np.uint8), mode=None)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))


def write(folder: Path, pictures: dict[str, list[Image.Image]]) -> Path:
    for name, images in pictures.items():
        (folder / name).mkdir(parents=True)
        for number, image in enumerate(images):
            image.save(folder / name / f"{number}.png")
    return folder


def test_a_folder_for_each_class(tmp_path: Path):
    cats, dogs = [picture() for _ in range(3)], [picture()]
    data = read_images(write(tmp_path / "pets", {"dog": dogs, "cat": cats}))
    assert data.class_names == ("cat", "dog")
    assert data.test is None
    assert sorted(data.train.labels.tolist()) == [0, 0, 0, 1]
    (dog,) = [row for row in data.train if row["labels"] == 1]
    assert np.array_equal(dog["pixel_values"].permute(1, 2, 0).numpy(), np.array(dogs[0]))


def test_a_local_folder_is_not_downloaded(tmp_path: Path, capfd):
    """`datasets` would say that it is."""
    folder = write(tmp_path / "pets", {"cat": [picture()], "dog": [picture()]})
    read_images(folder)
    assert capfd.readouterr().err == ""
    assert not datasets.are_progress_bars_disabled()


def test_splits_are_folders_above_the_classes(tmp_path: Path):
    pets = {"train/cat": [picture()] * 2, "train/dog": [picture()], "test/cat": [picture()], "test/dog": [picture()]}
    data = read_images(str(write(tmp_path / "pets", pets)))
    assert data.test is not None
    assert (len(data.train), len(data.test)) == (3, 2)


def test_grey_palette_and_transparent_images_become_colour(tmp_path: Path):
    grey = picture(mode="L")
    pets = {"cat": [grey, picture(mode="RGBA"), picture().convert("P")], "dog": [picture()]}
    data = read_images(write(tmp_path / "pets", pets))
    assert data.train.pixels.shape == (4, 3, 6, 6)
    for channel in range(3):
        assert np.array_equal(data.train.pixels[0, channel].numpy(), np.array(grey))


def test_images_of_several_sizes_need_one(tmp_path: Path):
    wide = picture((9, 6))
    folder = write(tmp_path / "pets", {"cat": [picture(), picture()], "dog": [wide]})
    with pytest.raises(InputError, match=r"image dog/0\.png: 9x6 pixels, and the first image has 6x6; give"):
        read_images(folder)
    data = read_images(folder, size=6)
    assert data.train.size == (6, 6)
    expected = np.array(wide.resize((6, 6), Image.Resampling.BILINEAR))
    assert np.array_equal(data.train.pixels[2].permute(1, 2, 0).numpy(), expected)


def test_test_images_of_another_size(tmp_path: Path):
    pets = {
        "train/cat": [picture()],
        "train/dog": [picture()],
        "test/cat": [picture((8, 8))],
        "test/dog": [picture((8, 8))],
    }
    with pytest.raises(InputError, match="images of 8x8 and training images of 6x6"):
        read_images(write(tmp_path / "pets", pets))


def test_a_broken_image_is_named(tmp_path: Path):
    folder = write(tmp_path / "pets", {"cat": [picture()], "dog": [picture()]})
    (folder / "dog" / "0.png").write_bytes(b"no image")
    with pytest.raises(InputError, match=r"pets:train, image dog/0\.png: cannot be read"):
        read_images(folder)


def test_the_file_of_an_image_of_another_kind_is_named(tmp_path: Path):
    folder = write(tmp_path / "pets", {"cat": [picture()], "dog": [picture()]})
    Image.new("RGBA", (6, 6)).save(folder / "dog" / "0.png")
    with pytest.raises(InputError, match=r"pets:train, image dog/0\.png: fully transparent"):
        read_images(folder)


def damaged(folder: Path, form: str) -> object:
    """A source of two cats and a dog that is no image, under which `--forget-images` takes its name."""
    write(folder / "pets", {"cat": [picture(), picture()], "dog": [picture()]})
    (folder / "pets" / "dog" / "0.png").write_bytes(b"no image")
    if form == "folder":
        return folder / "pets"
    found = datasets.load_dataset("imagefolder", data_dir=str(folder / "pets"), drop_labels=False)
    if form == "saved folder":
        found.save_to_disk(folder / "saved")
        return folder / "saved"
    return found["train"] if form == "data set" else found


@pytest.mark.parametrize(
    ("form", "name"),
    [
        ("folder", r"pets:train, image dog/0\.png"),
        ("saved folder", r"saved:train, image 2 \(from 0; 0\.png\)"),
        ("data set", r"the data set, image 2 \(from 0; .*0\.png\)"),
        ("data sets", r"the data set:train, image 2 \(from 0; .*0\.png\)"),
    ],
)
def test_the_list_of_images_is_checked_before_any_is_read(tmp_path: Path, form: str, name: str):
    """And an image is named as `--forget-images` takes it: by its path below the folder, or its number from 0."""

    def refuse(images):
        raise InputError(f"{images.origin}: {len(images)} of {images.class_names}, {images.labels.tolist()}")

    source = damaged(tmp_path, form)
    with pytest.raises(InputError, match=r"3 of \('cat', 'dog'\), \[0, 0, 1\]"):
        read_images(source, check=refuse)
    with pytest.raises(InputError, match=f"{name}: cannot be read"):
        read_images(source, check=len)


def test_a_list_has_the_files_of_a_folder(tmp_path: Path):
    one = {"cat": [picture()], "dog": [picture()]}
    pets = {f"{split}/{name}": images for split in ("train", "test") for name, images in one.items()}
    seen = []
    data = read_images(write(tmp_path / "pets", pets), check=seen.append)
    (images,) = seen
    assert images.files == ("train/cat/0.png", "train/dog/0.png")
    assert images.test_files == ("test/cat/0.png", "test/dog/0.png")
    read_images(data, check=seen.append)
    assert seen[1].files == images.files
    assert seen[1].test_files == images.test_files


@pytest.mark.parametrize("ending", ["gif", "webp", "png", "tiff"])
def test_the_first_of_several_frames_is_taken_and_said(tmp_path: Path, caplog, ending: str):
    folder = write(tmp_path / "pets", {"cat": [picture()], "dog": [picture()]})
    read_images(folder)
    assert "frames" not in caplog.text
    frames = [Image.new("RGB", (6, 6), colour) for colour in ("white", "black", "red")]
    frames[0].save(folder / "dog" / f"1.{ending}", save_all=True, append_images=frames[1:])
    data = read_images(folder)
    assert data.train.pixels[2].min() > 250
    said = f"1 of 3 images of {folder}:train has several frames, of which the first is taken, such as {folder}:train, "
    assert f"{said}image dog/1.{ending}." in caplog.text


def test_one_class_is_none(tmp_path: Path):
    with pytest.raises(InputError, match="one class only"):
        read_images(write(tmp_path / "pets", {"cat": [picture(), picture()]}))


def test_a_folder_without_images(tmp_path: Path):
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="no images could be read"):
        read_images(tmp_path / "empty")


def features(**more: object) -> datasets.Features:
    return datasets.Features({"img": datasets.Image(), "label": datasets.ClassLabel(names=["cat", "dog"]), **more})


def test_data_sets_in_memory_and_on_disk(tmp_path: Path):
    rows = {"img": [picture(), picture()], "label": [0, 1]}
    train = datasets.Dataset.from_dict(rows, features=features())
    both = datasets.DatasetDict({"train": train, "validation": train.select([1])})
    both.save_to_disk(tmp_path / "saved")
    for source in (both, tmp_path / "saved"):
        data = read_images(source)
        assert data.test is not None
        assert data.class_names == ("cat", "dog")
        assert np.array_equal(data.test.pixels[0].permute(1, 2, 0).numpy(), np.array(rows["img"][1]))
    assert read_images(train).test is None


def test_cifar100_has_two_columns_of_labels_and_the_fine_one_counts(monkeypatch):
    kinds = datasets.Features(
        {
            "img": datasets.Image(),
            "coarse_label": datasets.ClassLabel(names=["pet", "tree"]),
            "fine_label": datasets.ClassLabel(names=["cat", "dog", "oak"]),
        }
    )
    rows = {"img": [picture()] * 3, "coarse_label": [0, 0, 1], "fine_label": [0, 1, 2]}
    asked = []

    def load_dataset(name, *args, **kwargs):
        asked.append(name)
        return datasets.DatasetDict({"train": datasets.Dataset.from_dict(rows, features=kinds)})

    monkeypatch.setattr(datasets, "load_dataset", load_dataset)
    assert read_images("cifar100").class_names == ("cat", "dog", "oak")
    assert asked == ["uoft-cs/cifar100"]


@pytest.mark.parametrize(
    ("columns", "message"),
    [
        ({"label": [0, 1]}, "0 columns of images"),
        ({"img": [picture(), picture()]}, "no column of class labels"),
    ],
)
def test_data_sets_without_images_or_labels(columns, message):
    kinds = datasets.Features({name: features()[name] for name in columns})
    with pytest.raises(InputError, match=message):
        read_images(datasets.Dataset.from_dict(columns, features=kinds))


def test_hidden_labels_are_refused():
    hidden = datasets.Dataset.from_dict({"img": [picture(), picture()], "label": [0, -1]}, features=features())
    with pytest.raises(InputError, match="labels from -1 to 0"):
        read_images(hidden)


@pytest.mark.parametrize(
    ("source", "message"),
    [
        ("./absent", "--dataset ./absent: no such file or folder"),
        ("", "no such file or folder"),
        (3, "cannot read images from a int"),
    ],
)
def test_nothing_there(source, message):
    with pytest.raises(InputError, match=message):
        read_images(source)


def test_a_file_of_another_kind(tmp_path: Path):
    (tmp_path / "images.zip").write_bytes(b"")
    with pytest.raises(InputError, match=r"not a \.npz file and not a folder of images"):
        read_images(tmp_path / "images.zip")


def test_a_name_that_is_not_on_the_hub():
    with pytest.raises(InputError, match="could not be loaded from the hub"):
        read_images("nobody/nothing")


def test_arrays_are_resized_as_pictures_are():
    pixels = RNG.integers(0, 256, (2, 8, 8, 3), dtype=np.uint8)
    data = ImageData(images_from_arrays(pixels, [0, 1]))
    resized = read_images(data, size=4).train.pixels[1].permute(1, 2, 0).numpy()
    assert np.array_equal(resized, np.array(Image.fromarray(pixels[1]).resize((4, 4), Image.Resampling.BILINEAR)))


def test_labels_follow_the_order_of_a_models_classes():
    data = ImageData(images_from_arrays(RNG.integers(0, 256, (3, 4, 4, 3), dtype=np.uint8), [0, 1, 2], ["a", "b", "c"]))
    ordered = data.in_order(("c", "a", "b"))
    assert ordered.train.labels.tolist() == [1, 2, 0]
    assert [ordered.class_names[label] for label in ordered.train.labels] == ["a", "b", "c"]
    assert torch.equal(ordered.train.pixels, data.train.pixels)
    with pytest.raises(InputError, match="has 3 classes and the model 2"):
        data.in_order(("a", "b"))
    with pytest.raises(InputError, match="the model has no class 'c'; its classes are a, b, d"):
        data.in_order(("a", "b", "d"))
