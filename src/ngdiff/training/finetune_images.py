"""Train an image classifier: how targets of unlearning and their references are made."""

import copy
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
from torch import Tensor
from torch.utils.data import Dataset
from transformers import (
    PreTrainedModel,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from ngdiff.data import Images, Preparation
from ngdiff.data.preparation import augment
from ngdiff.errors import InputError
from ngdiff.modeling.image_forward import image_answers
from ngdiff.training.check_inherited import (
    check_activation_checkpointing,
    check_installed,
    check_optimizer,
    check_precision,
    check_schedule,
)
from ngdiff.training.checkpointed import CheckpointedTrainer
from ngdiff.training.config import unpin_without_accelerator
from ngdiff.training.finetune import FinetuneResult, train_and_report
from ngdiff.training.finetune_arguments import ImageFinetuneArguments
from ngdiff.training.loss_check import LossCheck
from ngdiff.training.spread import SAMPLE_ROWS, spread
from ngdiff.training.stopping import StopRequest
from ngdiff.training.watch_loss import WatchLoss

MOMENTUM = 0.9
# Peak rates for `learning_rate="auto"`, from random weights and from a trained model.
_RATES = {"sgd": (0.1, 0.01), "other": (1e-3, 5e-5)}


@dataclass
class ImageFinetuneConfig(ImageFinetuneArguments, TrainingArguments):
    """Arguments of `finetune_images`: those of `transformers.TrainingArguments` and two of our own.

    `ImageFinetuneArguments` has the options and says which defaults differ from transformers', and why.

    Raises:
        InputError: an option that cannot be used, named with the value found.
    """

    def __post_init__(self) -> None:
        self.check()
        check_installed(self)
        check_precision(self)
        TrainingArguments.__post_init__(self)
        unpin_without_accelerator(self)
        check_optimizer(self, replaced="--optim sgd (momentum 0.9, Nesterov)" if self.optim == "sgd" else None)
        check_schedule(self)

    def peak_rate(self, *, fresh: bool) -> float:
        """The learning rate as a number; `fresh`: of a model with random weights."""
        if self.learning_rate != "auto":
            return float(self.learning_rate)
        from_random, from_trained = _RATES["sgd" if self.optim == "sgd" else "other"]
        return from_random if fresh else from_trained


def finetune_images(
    model: PreTrainedModel,
    images: Images,
    preparation: Preparation,
    config: ImageFinetuneConfig,
    *,
    fresh: bool = True,
    callbacks: Sequence[TrainerCallback] = (),
    resume: bool | str = False,
    stop_request: StopRequest | None = None,
) -> FinetuneResult:
    """Minimise the mean cross-entropy of the labels, in place, on `model`.

    The mean is over the images of a whole step, however it is cut into micro-batches. The model is left in evaluation
    mode and is not written anywhere; `ngdiff.modeling.save_model` does that.

    Args:
        model: Image classifier of transformers.
        images: Training images.
        preparation: What the model is given of them.
        config: Options; `config.output_dir` gets checkpoints, if any.
        fresh: Whether the weights are random, for `learning_rate="auto"`.
        callbacks, resume, stop_request: As in `ngdiff.training.finetune.finetune`.

    Raises:
        InputError: no images.
        FloatingPointError: the training loss is no longer a number.
        StoppedBySignal: `stop_request` asked for it; a checkpoint is written.
    """
    if not len(images):
        raise InputError("--dataset: there are no images to train on.")
    check_activation_checkpointing(config, model)
    args = copy.copy(config)
    args.learning_rate = rate = config.peak_rate(fresh=fresh)
    args.remove_unused_columns = False  # the rows are numbers of images; the collator makes batches of them
    collator = _Batches(images, preparation, config)
    optimizer = None
    if config.optim == "sgd":
        optimizer = torch.optim.SGD(
            model.parameters(), lr=rate, momentum=MOMENTUM, nesterov=True, weight_decay=config.weight_decay
        )
    trainer = CheckpointedTrainer(
        model=model,
        args=args,
        train_dataset=_Numbers(len(images)),
        data_collator=collator,
        compute_loss_func=partial(_loss, smoothing=config.label_smoothing_factor),
        optimizers=(optimizer, None),
        callbacks=[WatchLoss(None), _EpochOf(collator), *callbacks],
    )
    as_they_are = _Batches(images, preparation, config)
    as_they_are.augment = False
    check = LossCheck(
        trainer,
        as_they_are,
        spread(len(images), SAMPLE_ROWS),
        lambda batch: image_answers(model, batch).nll,
        guessing=math.log(len(images.class_names)),
    )
    return train_and_report(trainer, rate, resume, stop_request, check)


class _Numbers(Dataset[int]):
    """Rows that are their own numbers."""

    def __init__(self, count: int) -> None:
        self.count = count

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, row: int) -> int:
        return row


class _Batches:
    """Numbers of images -> a prepared batch, with the crops and flips of this epoch."""

    def __init__(self, images: Images, preparation: Preparation, config: ImageFinetuneConfig) -> None:
        self.images, self.preparation = images, preparation
        self.augment, self.seed, self.epoch = config.augment, config.seed, 0

    def __call__(self, numbers: Sequence[int]) -> dict[str, Tensor]:
        rows = torch.tensor(numbers)
        pixels = self.images.pixels[rows]
        if self.augment:
            pixels = augment(pixels, rows, total=len(self.images), seed=self.seed, epoch=self.epoch)
        return {"pixel_values": self.preparation(pixels), "labels": self.images.labels[rows]}


class _EpochOf(TrainerCallback):
    """Sets the epoch of the batches, before the first of them is made."""

    def __init__(self, batches: _Batches) -> None:
        self.batches = batches

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        """A run that resumes within an epoch continues that epoch."""
        self.batches.epoch = int((state.epoch or 0.0) + 1e-6)


def _loss(
    outputs: Any, labels: Tensor, num_items_in_batch: Tensor | int | None = None, *, smoothing: float = 0.0
) -> Tensor:
    """Cross-entropy over the images of the whole step (all labels count: none is left out in training).

    Args:
        outputs: With logits (B, V).
        labels: (B,).
        num_items_in_batch: Images of the step.
        smoothing: Share of each label that all V classes get alike.
    """
    logits = (outputs["logits"] if isinstance(outputs, Mapping) else outputs).float()
    summed = torch.nn.functional.cross_entropy(logits, labels, reduction="sum", label_smoothing=smoothing)
    return summed / (len(labels) if num_items_in_batch is None else num_items_in_batch)
