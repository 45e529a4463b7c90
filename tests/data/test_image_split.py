"""Who is forgotten, kept, and never seen."""

from pathlib import Path

import numpy as np
import pytest
import torch

from ngdiff.data import ImageData, NamedImages, images_from_arrays, read_images, split_images
from ngdiff.errors import InputError

NAMES = ["ant", "bee", "cow"]


def data(labels: list[int], test: list[int] | None = None) -> ImageData:
    rng = np.random.default_rng(0)

    def images(own: list[int]):
        return images_from_arrays(rng.integers(0, 256, (len(own), 4, 4, 3), dtype=np.uint8), own, NAMES, origin="some")

    return ImageData(images(labels), None if test is None else images(test))


def names(*rows: int) -> NamedImages:
    return NamedImages("names.txt", tuple((line, str(row)) for line, row in enumerate(rows, 1)), "")


def test_a_class_is_forgotten_and_the_other_classes_are_kept():
    split = split_images(data([0, 1, 2, 1, 0], [1, 0, 1]), forget_class="bee")
    found = {name: (images.places.tolist(), images.labels.tolist()) for name, images in split.sets().items()}
    assert found == {
        "forget": ([1, 3], [1, 1]),
        "retain": ([0, 2, 4], [0, 2, 0]),
        "holdout": ([0, 2], [1, 1]),
        "test": ([1], [0]),
    }


def test_a_part_of_a_class_and_the_rest_of_it_is_in_neither_set():
    labels = [0] * 5 + [1] * 40
    split = split_images(data(labels), forget_class="bee", forget_rows=8, seed=1)
    assert len(split.forget) == 8
    assert set(split.forget.labels.tolist()) == {1}
    assert split.retain.labels.tolist() == [0] * 5
    assert split.forget.places.tolist() == sorted(set(split.forget.places.tolist()))
    again = split_images(data(labels), forget_class="bee", forget_rows=8, seed=1)
    other = split_images(data(labels), forget_class="bee", forget_rows=8, seed=2)
    assert torch.equal(split.forget.places, again.forget.places)
    assert not torch.equal(split.forget.places, other.forget.places)


def test_more_than_there_are_is_all_there_are():
    assert len(split_images(data([0, 1, 1]), forget_class="bee", forget_rows=500).forget) == 2


def test_one_image_of_a_class():
    split = split_images(data([0, 1, 0, 2]), forget_class="cow")
    assert split.forget.places.tolist() == [3]
    assert split.holdout is None


def test_random_rows_of_all_classes():
    labels = [i % 3 for i in range(60)]
    split = split_images(data(labels, [0, 1]), forget_rows=12)
    both = sorted([*split.forget.places.tolist(), *split.retain.places.tolist()])
    assert both == list(range(60))
    assert len(split.forget) == 12
    assert len(set(split.forget.labels.tolist())) == 3
    assert split.holdout is split.test
    assert len(split.test) == 2


def test_copies_of_random_rows_are_not_kept():
    pixels = np.random.default_rng(0).integers(0, 256, (8, 4, 4, 3), dtype=np.uint8)
    pixels = np.concatenate([pixels, pixels])  # every image twice, once with another label
    labels = [0, 0, 0, 0, 1, 1, 1, 1, 0, 0, 0, 0, 1, 1, 2, 2]
    split = split_images(ImageData(images_from_arrays(pixels, labels, NAMES)), forget_rows=4)
    kept = {(digest, label) for digest, label in zip(split.retain.digests, split.retain.labels.tolist(), strict=True)}
    lost = {(digest, label) for digest, label in zip(split.forget.digests, split.forget.labels.tolist(), strict=True)}
    assert not kept & lost
    assert len(split.retain) < 12


def test_named_images_are_forgotten_as_random_ones_are():
    split = split_images(data([0, 1, 2, 1, 0], [1, 0, 1]), forget_images=names(3, 0))
    assert split.forget.places.tolist() == [0, 3]
    assert split.retain.places.tolist() == [1, 2, 4]
    assert split.holdout is split.test
    assert len(split.test) == 3


def test_copies_of_named_images_are_not_kept(caplog):
    pixels = np.random.default_rng(0).integers(0, 256, (3, 4, 4, 3), dtype=np.uint8)
    images = ImageData(images_from_arrays(np.concatenate([pixels, pixels]), [0, 1, 2, 0, 1, 0], NAMES))
    with caplog.at_level("INFO"):
        split = split_images(images, forget_images=names(0, 2))
    assert split.retain.places.tolist() == [1, 4, 5]  # image 5 has the pixels of image 2, and another label
    assert caplog.messages == ["1 copy of an image to forget is left out of those to keep"]
    with pytest.raises(InputError, match=r"--forget-images names\.txt: all other training images are copies of these"):
        split_images(ImageData(images.train.take(torch.tensor([0, 3]))), forget_images=names(1))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({}, "--forget-class, --forget-rows or --forget-images: name a class"),
        ({"forget_images": names(0), "forget_class": "bee"}, "--forget-images names.txt and --forget-class bee: give"),
        ({"forget_images": names(0), "forget_rows": 1}, "--forget-images names.txt and --forget-rows 1: give one of"),
        ({"forget_images": names(4)}, "--forget-images names.txt, line 1: '4' is no number of a training image"),
        ({"forget_class": "be"}, "--forget-class be: there is no such class; did you mean bee?"),
        ({"forget_class": "zebra"}, "the classes are ant, bee, cow"),
        ({"forget_class": "cow"}, "--forget-class cow: some has no image of this class"),
        ({"forget_rows": 0}, "--forget-rows 0 is not 1 or more"),
        ({"forget_rows": 4}, "there are 4 training images; some must be left to keep"),
    ],
)
def test_what_cannot_be_split(options, message):
    with pytest.raises(InputError) as error:
        split_images(data([0, 1, 0, 1]), **options)
    assert message in str(error.value)


def test_nothing_left_to_keep():
    with pytest.raises(InputError, match="has no image of any other class to keep"):
        split_images(data([1, 1]), forget_class="bee")


def test_the_papers_split_of_real_images(real_data: Path):
    ten = split_images(read_images(real_data / "cifar" / "cifar10_subset.npz"), forget_class="dog")
    assert {name: len(images) for name, images in ten.sets().items()} == {
        "forget": 500,
        "retain": 9000,
        "holdout": 200,
        "test": 1800,
    }
    hundred = split_images(read_images(real_data / "cifar" / "cifar100_subset.npz"), forget_class="bed")
    assert {name: len(images) for name, images in hundred.sets().items()} == {
        "forget": 100,
        "retain": 9900,
        "holdout": 20,
        "test": 1980,
    }
