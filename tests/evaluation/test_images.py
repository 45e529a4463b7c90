"""Records of images, against one image at a time."""

import math

import pytest
import torch
from torch import nn

from ngdiff.data import Images, Preparation
from ngdiff.errors import InputError
from ngdiff.evaluation.images import predict_images
from ngdiff.metrics import score
from ngdiff.scoring.records import check_record

PREPARATION = Preparation((0.5, 0.4, 0.3), (0.2, 0.3, 0.4))


def some(count: int, seed: int) -> Images:
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randint(0, 256, (count, 3, 4, 4), generator=generator, dtype=torch.uint8)
    return Images(pixels, torch.randint(0, 3, (count,), generator=generator), ("a", "b", "c"), "some")


def model() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Flatten(), nn.Linear(48, 8), nn.BatchNorm1d(8), nn.Dropout(0.5), nn.Linear(8, 3))


@pytest.mark.parametrize("batch_size", [1, 3, 100])
def test_records_say_what_the_model_says_of_each_image_alone(batch_size: int):
    sets = {"forget": some(7, 1).take(torch.tensor([5, 0, 3])), "retain": some(4, 2)}
    network = model().train()
    before = {name: value.clone() for name, value in network.state_dict().items()}
    records = predict_images(network, sets, PREPARATION, batch_size=batch_size, show_progress=False)
    assert network.training
    assert all(torch.equal(value, before[name]) for name, value in network.state_dict().items())
    network.eval()
    assert [record["index"] for record in records["forget"]] == [5, 0, 3]
    assert [record["index"] for record in records["retain"]] == [0, 1, 2, 3]
    for name, images in sets.items():
        assert len(records[name]) == len(images)
        for record, row in zip(records[name], images, strict=True):
            check_record(record, name)
            scores = network(PREPARATION(row["pixel_values"][None]))[0].tolist()
            loss = math.log(sum(math.exp(value - scores[row["labels"]]) for value in scores))
            assert record["set"] == name
            assert record["n_tokens"] == 1
            assert record["nll_sum"] == pytest.approx(loss, abs=1e-6)
            assert record["label"] == row["labels"]
            assert scores[record["predicted"]] == max(scores)


def test_records_are_scored():
    sets = {"forget": some(6, 1), "holdout": some(5, 2)}
    records = predict_images(model(), sets, PREPARATION, show_progress=False)
    metrics = score(records)
    right = [record["predicted"] == record["label"] for record in records["forget"]]
    assert metrics["forget"]["accuracy"] == pytest.approx(sum(right) / 6)
    pairs = [(f["nll_sum"], h["nll_sum"]) for f in records["forget"] for h in records["holdout"]]
    assert metrics["membership"]["loss"]["auc"] == pytest.approx(sum(f < h for f, h in pairs) / len(pairs))


def test_too_few_outputs():
    with pytest.raises(InputError, match="some has 3 classes and the model 2 outputs"):
        predict_images(nn.Sequential(nn.Flatten(), nn.Linear(48, 2)), {"a": some(2, 0)}, PREPARATION)


def test_a_loss_that_is_no_number():
    network = nn.Sequential(nn.Flatten(), nn.Linear(48, 3))
    nn.init.constant_(network[1].bias, math.nan)
    with pytest.raises(InputError, match="loss is not finite"):
        predict_images(network, {"a": some(2, 0)}, PREPARATION, show_progress=False)
