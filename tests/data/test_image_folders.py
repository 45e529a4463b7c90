"""Folders of images that hold what a run of ngdiff wrote, or images of no class."""

from pathlib import Path

import datasets
import numpy as np
import pytest
from PIL import Image

from ngdiff.data import read_images
from ngdiff.errors import InputError
from ngdiff.manifest import write_manifest

RNG = np.random.default_rng(0)


@pytest.fixture(autouse=True)
def own_cache(tmp_path_factory, monkeypatch):
    monkeypatch.setattr(datasets.config, "HF_DATASETS_CACHE", tmp_path_factory.mktemp("cache"))


def picture(file: Path) -> Path:
    file.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(RNG.integers(0, 256, (6, 6, 3), dtype=np.uint8)).save(file)
    return file


def begin_run(folder: Path, *, curves: bool = True) -> Path:
    folder.mkdir(parents=True)
    write_manifest(folder, command=["ngdiff"], config={}, data={}, model={}, template=None, seed=0)
    if curves:
        picture(folder / "report" / "curves.png")
    return folder


@pytest.fixture
def pets(tmp_path: Path) -> Path:
    for name in ("cat", "dog"):
        for number in range(3):
            picture(tmp_path / "pets" / name / f"{number}.png")
    return tmp_path / "pets"


def within(pets: Path, tmp_path: Path, split: str) -> Path:
    """The folder of images; with a split, the folder in which it is that split."""
    if not split:
        return pets
    root = tmp_path / "all"
    root.mkdir()
    pets.rename(root / split)
    return root


@pytest.mark.parametrize("place", ["out", "dog/out", "deep/er/out"])
def test_an_output_folder_among_the_images(pets: Path, place: str) -> None:
    run = begin_run(pets / place)
    with pytest.raises(InputError) as caught:
        read_images(pets)
    assert str(caught.value) == (
        f"--dataset {pets}: {run} is an output folder of ngdiff, whose figures (report/curves.png) would be images of "
        "a class; move it to another place"
    )
    picture(run / "figures" / "a.png")
    (run / "report" / "curves.png").unlink()
    with pytest.raises(InputError, match="is an output folder of ngdiff"):
        read_images(pets)


def test_an_output_folder_without_figures_is_no_class(pets: Path) -> None:
    begin_run(pets / "out", curves=False)
    begin_run(pets / ".out")
    data = read_images(pets)
    assert (data.class_names, len(data.train)) == (("cat", "dog"), 6)


def test_an_output_folder_is_no_folder_of_images(tmp_path: Path) -> None:
    run = begin_run(tmp_path / "out")
    with pytest.raises(InputError, match=r"--dataset .*out: this is an output folder of ngdiff, not a folder of im"):
        read_images(run)


@pytest.mark.parametrize("split", ["", "train", "test"])
def test_an_image_beside_the_classes(pets: Path, tmp_path: Path, split: str) -> None:
    root = pets
    if split:
        root = tmp_path / "all"
        for name in ("train", "test"):
            for file in pets.rglob("*.png"):
                picture(root / name / file.relative_to(pets))
    loose = picture(root / split / "curves.png")
    with pytest.raises(InputError) as caught:
        read_images(root)
    assert str(caught.value) == (
        f"--dataset {root}: {loose} lies beside the folders of the classes, so that it would be of a class "
        f"{loose.parent.name!r}; move it to the folder of its class, or out of {root}"
    )
    loose.unlink()
    assert read_images(root).class_names == ("cat", "dog")


@pytest.mark.parametrize("split", ["", "train"])
def test_a_folder_of_images_in_that_of_a_class(pets: Path, tmp_path: Path, split: str) -> None:
    root = within(pets, tmp_path, split)
    deep = picture(root / split / "dog" / "puppies" / "0.png")
    with pytest.raises(InputError) as caught:
        read_images(root)
    assert str(caught.value) == (
        f"--dataset {root}: {deep} lies deeper than {root / split / 'dog' / '0.png'}, so that it would be of a class "
        f"'puppies' and not 'dog'; move it to the folder of its class, or out of {root}"
    )


@pytest.mark.parametrize("split", ["", "train"])
@pytest.mark.parametrize("name", ["dog/9.png", "cow"])
def test_a_link_to_nothing(pets: Path, tmp_path: Path, split: str, name: str) -> None:
    """An image or a class that should be there: `datasets` passes over both without a word."""
    root = within(pets, tmp_path, split)
    link = root / split / name
    link.symlink_to(tmp_path / "gone")
    with pytest.raises(InputError) as caught:
        read_images(root)
    assert str(caught.value) == (
        f"--dataset {root}: {link} is a link to {tmp_path / 'gone'}, where nothing is; put the image there, or remove "
        "the link"
    )


@pytest.mark.parametrize("split", ["", "train"])
def test_a_link_to_a_folder_of_images(pets: Path, tmp_path: Path, split: str) -> None:
    root = within(pets, tmp_path, split)
    picture(tmp_path / "elsewhere" / "cow" / "0.png")
    link = root / split / "cow"
    link.symlink_to(tmp_path / "elsewhere" / "cow")
    with pytest.raises(InputError) as caught:
        read_images(root)
    assert str(caught.value) == (
        f"--dataset {root}: {link} is a link to a folder of images, which would not be read; put the folder itself "
        "there, with links to its images if need be"
    )


def test_links_that_change_nothing(pets: Path, tmp_path: Path) -> None:
    """To an image, to a folder within, back up, and to a folder without images."""
    (pets / "cat" / "9.png").symlink_to(picture(tmp_path / "elsewhere" / "0.png"))
    (pets / "best").symlink_to(pets / "cat")
    (pets / "dog" / "up").symlink_to(pets)
    (tmp_path / "notes").mkdir()
    (pets / "notes").symlink_to(tmp_path / "notes")
    data = read_images(pets)
    assert (data.class_names, len(data.train)) == (("cat", "dog"), 7)


@pytest.mark.parametrize("name", ["metadata.csv", "metadata.jsonl", "metadata.parquet", "dog/metadata.csv"])
def test_metadata_takes_the_place_of_the_names_of_folders(pets: Path, name: str) -> None:
    (pets / name).write_text("file_name,label\ncat/0.png,7\n")
    with pytest.raises(InputError) as caught:
        read_images(pets)
    assert str(caught.value) == (
        f"--dataset {pets}: with {pets / name} the images would have its columns, and no class; classes are taken from "
        f"the names of folders: move it out of {pets}"
    )


def test_metadata_beside_the_splits_is_not_read(pets: Path, tmp_path: Path) -> None:
    root = within(pets, tmp_path, "train")
    (root / "metadata.csv").write_text("file_name,label\ntrain/cat/0.png,7\n")
    assert read_images(root).class_names == ("cat", "dog")
    (root / "train" / "metadata.csv").write_text("file_name,label\ncat/0.png,7\n")
    with pytest.raises(InputError, match=r"with .*/train/metadata\.csv the images would have its columns"):
        read_images(root)
