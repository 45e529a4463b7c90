"""Pixels to what a model is given; crops and flips."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from transformers import AutoImageProcessor

from ngdiff.data import Preparation, images_from_arrays, preparation_of, read_images, read_preparation
from ngdiff.data.cifar import STATISTICS
from ngdiff.data.preparation import augment
from ngdiff.errors import InputError

RNG = np.random.default_rng(0)
PIXELS = torch.from_numpy(RNG.integers(0, 256, (40, 3, 8, 6), dtype=np.uint8))


def test_the_formula_in_float64():
    preparation = Preparation((0.1, 0.2, 0.3), (0.5, 0.6, 0.7))
    expected = (PIXELS.double() / 255 - torch.tensor([0.1, 0.2, 0.3]).double().view(3, 1, 1)) / torch.tensor(
        [0.5, 0.6, 0.7]
    ).double().view(3, 1, 1)
    torch.testing.assert_close(preparation(PIXELS).double(), expected, rtol=0, atol=1e-6)


def test_new_models_get_the_statistics_of_their_images():
    images = images_from_arrays(PIXELS.numpy(), np.arange(40) % 2)
    preparation = preparation_of(images)
    values = PIXELS.double() / 255
    assert preparation.mean == pytest.approx(values.mean(dim=(0, 2, 3)).tolist(), abs=1e-6)
    assert preparation.std == pytest.approx(values.std(dim=(0, 2, 3), correction=0).tolist(), abs=1e-6)
    assert preparation.size == (8, 6)


def test_images_of_one_colour_are_not_divided_by_nothing():
    preparation = preparation_of(images_from_arrays(np.full((2, 4, 4, 3), 7, np.uint8), [0, 1]))
    assert preparation.std == (1.0, 1.0, 1.0)


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_cifar_gets_the_constants_of_the_whole_set(real_data: Path, name: str):
    train = read_images(real_data / "cifar" / f"{name}_subset.npz").train
    preparation = preparation_of(train)
    assert (preparation.mean, preparation.std) == STATISTICS[name]
    # The subset is a fifth of the whole: its own statistics are near.
    values = train.pixels.double() / 255
    assert preparation.mean == pytest.approx(values.mean(dim=(0, 2, 3)).tolist(), abs=0.004)
    assert preparation.std == pytest.approx(values.std(dim=(0, 2, 3)).tolist(), abs=0.004)


def test_transformers_reads_what_is_written(tmp_path: Path):
    preparation = Preparation((0.1, 0.2, 0.3), (0.5, 0.6, 0.7), (8, 6))
    preparation.save_pretrained(tmp_path)
    assert read_preparation(tmp_path) == preparation
    processor = AutoImageProcessor.from_pretrained(tmp_path)
    image = Image.fromarray(PIXELS[0].permute(1, 2, 0).numpy())
    torch.testing.assert_close(processor(image, return_tensors="pt")["pixel_values"], preparation(PIXELS[:1]))


def test_none_there(tmp_path: Path):
    assert read_preparation(tmp_path) is None


@pytest.mark.parametrize(
    ("content", "size"),
    [
        ({"size": {"height": 5, "width": 4}}, (5, 4)),
        ({"size": 5}, (5, 5)),
        ({"size": {"shortest_edge": 9}, "crop_size": {"height": 7, "width": 7}, "do_center_crop": True}, (7, 7)),
        ({"size": 5, "do_resize": False}, None),
        ({}, None),
    ],
)
def test_sizes_as_image_processors_give_them(tmp_path: Path, content, size):
    fields = {"image_mean": [0.5] * 3, "image_std": [0.5] * 3, **content}
    (tmp_path / "preprocessor_config.json").write_text(json.dumps(fields))
    found = read_preparation(tmp_path)
    assert found is not None
    assert found.size == size


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{", "not JSON"),
        ("[]", "holds no JSON object"),
        ('{"image_mean": [0.5, 0.5, 0.5]}', "image_std None must be three numbers"),
        ('{"image_mean": [0.5, 0.5, 0.5], "image_std": [0, 1, 1]}', "the latter above 0"),
        ('{"do_rescale": false}', "not divided by 255"),
    ],
)
def test_a_file_that_cannot_be_used(tmp_path: Path, text, message):
    (tmp_path / "preprocessor_config.json").write_text(text)
    with pytest.raises(InputError, match=message):
        read_preparation(tmp_path)


def test_without_normalisation(tmp_path: Path):
    (tmp_path / "preprocessor_config.json").write_text('{"do_normalize": false}')
    preparation = read_preparation(tmp_path)
    assert preparation is not None
    assert torch.equal(preparation(PIXELS), PIXELS / 255)


def test_batches_of_rows():
    images = images_from_arrays(PIXELS.numpy(), np.arange(40) % 2)
    preparation = preparation_of(images)
    batch = preparation.collate([{**images[i], "row_id": i} for i in (3, 8)])
    assert torch.equal(batch["pixel_values"], preparation(PIXELS[[3, 8]]))
    assert batch["labels"].tolist() == [1, 0]
    assert batch["row_id"].tolist() == [3, 8]
    assert "row_id" not in preparation.collate([images[0]])


def crops(image: torch.Tensor, padding: int) -> list[torch.Tensor]:
    """Every crop of an image and its mirror image, one slice at a time."""
    height, width = image.shape[1:]
    padded = torch.zeros(image.shape[0], height + 2 * padding, width + 2 * padding, dtype=image.dtype)
    padded[:, padding : padding + height, padding : padding + width] = image
    places = [(y, x) for y in range(2 * padding + 1) for x in range(2 * padding + 1)]
    plain = [padded[:, y : y + height, x : x + width] for y, x in places]
    return plain + [crop.flip(2) for crop in plain]


def test_crops_and_flips_are_crops_and_flips():
    rows = torch.arange(40)
    made = augment(PIXELS, rows, total=40, seed=0, epoch=3, padding=2)
    chosen = []
    for image, own in zip(PIXELS, made, strict=True):
        matches = [number for number, crop in enumerate(crops(image, 2)) if torch.equal(crop, own)]
        assert len(matches) == 1
        chosen += matches
    assert len({number % 25 for number in chosen}) > 12  # of 25 places
    assert 10 < sum(number >= 25 for number in chosen) < 30  # mirrored


def test_what_happens_to_an_image_depends_on_seed_epoch_and_row_alone():
    torch.manual_seed(0)
    whole = augment(PIXELS, torch.arange(40), total=40, seed=1, epoch=2)
    torch.manual_seed(99)
    state = torch.random.get_rng_state()
    some = torch.tensor([31, 4])
    assert torch.equal(augment(PIXELS[some], some, total=40, seed=1, epoch=2), whole[some])
    assert torch.equal(torch.random.get_rng_state(), state)  # nothing is drawn from the global generator
    assert not torch.equal(augment(PIXELS, torch.arange(40), total=40, seed=1, epoch=3), whole)
    assert not torch.equal(augment(PIXELS, torch.arange(40), total=40, seed=2, epoch=2), whole)
