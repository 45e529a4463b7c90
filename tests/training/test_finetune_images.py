"""Training an image classifier."""

import math

import pytest
import torch

from ngdiff.checkpoint_places import checkpoint_folder
from ngdiff.errors import InputError
from ngdiff.modeling import build_image_model
from ngdiff.training.finetune_images import ImageFinetuneConfig, _Batches, finetune_images

from .image_cases import NAMES, PREPARATION, classifier, images


@pytest.fixture
def config(tmp_path):
    def make(**options) -> ImageFinetuneConfig:
        defaults = {"output_dir": str(tmp_path / "run"), "use_cpu": True, "disable_tqdm": True, "report_to": []}
        return ImageFinetuneConfig(**{**defaults, "per_device_train_batch_size": 8, **options})

    return make


def flat(model) -> torch.Tensor:
    return torch.cat([value.detach().double().reshape(-1) for value in model.state_dict().values()])


def test_it_learns_and_moves_the_statistics(config):
    model, rows = classifier(), images(48, 0)
    before = model.resnet.embedder.normalization.running_mean.clone()
    result = finetune_images(model, rows, PREPARATION, config(num_train_epochs=12, augment=False))
    assert result.steps == 72
    assert result.learning_rate == 0.1
    assert result.losses[-1][1] < 0.5 * result.losses[0][1]
    assert not model.training
    assert not torch.equal(model.resnet.embedder.normalization.running_mean, before)
    with torch.no_grad():
        found = model(PREPARATION(rows.pixels)).logits.argmax(1)
    assert float((found == rows.labels).float().mean()) > 0.9


def test_the_first_step_equals_nesterov_written_out(config):
    rows = images(8, 0)
    options = {"max_steps": 1, "augment": False, "learning_rate": 0.05, "warmup_steps": 0, "max_grad_norm": 0}
    model, twin = (build_image_model("vit-tiny", NAMES, (8, 8)) for _ in range(2))
    finetune_images(model, rows, PREPARATION, config(**options))
    twin.double()
    logits = twin(PREPARATION(rows.pixels).double()).logits
    loss = -logits.log_softmax(-1)[torch.arange(8), rows.labels].mean()
    grads = torch.autograd.grad(loss, list(twin.parameters()))
    for own, old, grad in zip(model.parameters(), twin.parameters(), grads, strict=True):
        pull = grad + 5e-4 * old  # momentum 0.9, Nesterov: the first step is 1.9 times the pull
        torch.testing.assert_close(own.double(), old - 0.05 * 1.9 * pull, rtol=0, atol=1e-6)


def test_micro_batches_of_uneven_size_change_nothing(config):
    # A transformer: batch statistics of a residual network depend on how a step is cut.
    rows, ends = images(20, 0), []
    for batch, accumulation in ((8, 1), (2, 4)):  # the last step of an epoch has 4 images
        model = build_image_model("vit-tiny", NAMES, (8, 8))
        options = {"per_device_train_batch_size": batch, "gradient_accumulation_steps": accumulation}
        finetune_images(model, rows, PREPARATION, config(num_train_epochs=2, learning_rate=0.01, **options))
        ends.append(flat(model))
    start = flat(build_image_model("vit-tiny", NAMES, (8, 8)))
    assert float((ends[0] - ends[1]).norm()) < 1e-3 * float((ends[0] - start).norm())


def test_a_resumed_run_ends_with_the_same_weights(config, tmp_path):
    rows, ends = images(20, 0), []
    for resume in (False, str(checkpoint_folder(tmp_path / "run", 3))):
        model = classifier()
        finetune_images(model, rows, PREPARATION, config(num_train_epochs=3, save_strategy="epoch"), resume=resume)
        ends.append(flat(model))
    assert torch.equal(*ends)


def test_every_epoch_crops_anew_and_resuming_crops_the_same(config):
    rows = images(6, 0)
    batches = _Batches(rows, PREPARATION, config())
    first = batches([4, 1])["pixel_values"]
    assert torch.equal(batches([1, 4])["pixel_values"], first.flip(0))
    batches.epoch = 1
    assert not torch.equal(batches([4, 1])["pixel_values"], first)
    plain = _Batches(rows, PREPARATION, config(augment=False))([4, 1])
    assert torch.equal(plain["pixel_values"], PREPARATION(rows.pixels[[4, 1]]))
    assert plain["labels"].tolist() == rows.labels[[4, 1]].tolist()


@pytest.mark.parametrize(
    ("options", "fresh", "rate"),
    [
        ({}, True, 0.1),
        ({}, False, 0.01),
        ({"optim": "adamw_torch"}, True, 1e-3),
        ({"optim": "adamw_torch"}, False, 5e-5),
        ({"learning_rate": "0.3"}, False, 0.3),
    ],
)
def test_peak_rates(config, options, fresh, rate):
    assert config(**options).peak_rate(fresh=fresh) == rate


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"learning_rate": "fast"}, "--learning-rate fast is not auto or a positive number"),
        ({"learning_rate": -1.0}, "--learning-rate -1.0 is not auto or a positive number"),
        ({"train_sampling_strategy": "group_by_length"}, "images have no lengths"),
        ({"dataloader_persistent_workers": True, "dataloader_num_workers": 1}, "crop every epoch as the first"),
        ({"num_train_epochs": 0}, "--num-train-epochs 0 is not from above 0"),
    ],
)
def test_options_that_cannot_be_used(config, options, message):
    with pytest.raises(InputError) as error:
        config(**options)
    assert message in str(error.value)


def test_no_images(config):
    with pytest.raises(InputError, match="no images to train on"):
        finetune_images(classifier(), images(3, 0).take(torch.arange(0)), PREPARATION, config())


def test_a_loss_that_is_no_number_stops_the_run(config):
    model = classifier()
    with torch.no_grad():
        model.classifier[1].weight.fill_(math.nan)
    with pytest.raises(FloatingPointError, match="the training loss is nan"):
        finetune_images(model, images(8, 0), PREPARATION, config(num_train_epochs=1))
