"""Options of `ngdiff finetune` as the command line reads them: checked as far as that goes without torch."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass
from typing import ClassVar

from ngdiff.errors import InputError
from ngdiff.option import option
from ngdiff.training.bounds import check_bounds, check_rate
from ngdiff.training.check_given import check_given
from ngdiff.training.given import as_given
from ngdiff.training.inherited_options import Run
from ngdiff.training.loss_bound import check_loss_bound
from ngdiff.training.trainer_fields import TrainerFields


@dataclass
class _Finetuning(TrainerFields, ABC):
    """What texts and images share; `FinetuneArguments` says why defaults differ from transformers'."""

    max_loss: str = option(
        "auto",
        "loss of the training set after the run, in nats per token or image, above which the model counts as ruined "
        "(exit code 3, kept in OUTPUT/ruined): auto (half of the way from before to uniform guessing), none, or a "
        "number",
    )
    learning_rate: float | str = option(  # type: ignore[assignment]  # resolved when the model is seen
        "auto", "auto or a positive number"
    )
    lr_scheduler_type: str = option("cosine", "schedule of the learning rate")
    logging_strategy: str = option("epoch", "when to log the training loss: no, steps, epoch")
    logging_nan_inf_filter: bool = option(False, "hide losses that are not numbers")
    save_strategy: str = option("no", "when to write a checkpoint: no, epoch, steps, best")

    _run: ClassVar[Run]

    def __post_init__(self) -> None:
        self.check()

    def check(self) -> None:
        """Refuse what can be refused without torch.

        Raises:
            InputError: an option that cannot be used, or not with the others.
        """
        self.learning_rate = _auto_or_rate(self.learning_rate)
        self.given = as_given(self)
        check_bounds(self)
        self._check_own()
        check_loss_bound(self.max_loss, "--max-loss")
        check_given(self, self._run)

    @abstractmethod
    def _check_own(self) -> None:
        """Checks of texts or images alone."""


@dataclass
class FinetuneArguments(_Finetuning):
    """The fields of `FinetuneConfig`, and their checks without torch.

    The defaults make a small model with random weights recite a few hundred question-answer pairs in about 12
    epochs; `num_train_epochs` is an upper bound for rows that are harder, `stop_loss` ends the run. Defaults
    that differ from transformers', and why:

    - `learning_rate="auto"`: 2e-3 below 50 M trainable parameters, else 2e-5. A number is used unchanged.
    - `lr_scheduler_type="cosine"`, `warmup_steps=10`: the last part of a recitation needs small steps.
    - `per_device_train_batch_size=16`: as fast in epochs as 8 where models are small, and faster in seconds.
    - `train_sampling_strategy="group_by_length"`: rows of a batch have similar lengths, so less padding.
    - `logging_strategy="epoch"`: the mean training loss of each epoch, which `stop_loss` is compared with.
    - `logging_nan_inf_filter=False`: a loss that is not a number stops the run instead of being hidden.
    - `save_strategy="no"`: runs are short; a checkpoint per epoch is one option away.

    Raises:
        InputError: an option that cannot be used, named with the value found.
    """

    stop_loss: float | None = option(
        0.02,
        "stop when the logged training loss, in nats a token, is at or below this; none: train all epochs",
    )
    max_length: int | None = option(None, "longest row in tokens (the model's context; 2048 where it states none)")
    template: str = option("auto", "how a question is put: auto, plain, chat, or a text with {question} and {answer}")

    learning_rate: float | str = option(
        "auto", "auto (2e-3 below 50 M trainable parameters, else 2e-5) or a positive number"
    )
    per_device_train_batch_size: int = option(16, "rows of a step on one device")
    num_train_epochs: float = option(20.0, "passes over the rows, at most")
    warmup_steps: float = option(10, "steps of linear warm-up; below 1: part of all steps")
    train_sampling_strategy: str = option("group_by_length", "order of rows: random, sequential, group_by_length")

    _run = "finetune"

    def _check_own(self) -> None:
        if self.stop_loss and str(self.logging_strategy) in ("no", "IntervalStrategy.NO"):
            raise InputError("--logging-strategy no gives --stop-loss nothing to compare; use epoch or steps")


@dataclass
class ImageFinetuneArguments(_Finetuning):
    """The fields of `ImageFinetuneConfig`, and their checks without torch.

    The defaults are the usual recipe for residual networks on CIFAR (He et al. 2016, Section 4.2: crops and flips,
    batch 128, rate 0.1, momentum 0.9) with a cosine schedule, Nesterov's momentum and weight decay 5e-4, as later
    papers have it (Zagoruyko and Komodakis, "Wide Residual Networks", 2016). Defaults that differ from transformers',
    and why:

    - `optim="sgd"`: with Nesterov's momentum of 0.9. Any other name is transformers' own; vision transformers learn
      better with `adamw_torch`.
    - `learning_rate="auto"`: 0.1 for sgd and 1e-3 for others from random weights; 0.01 and 5e-5 from a trained model.
    - `warmup_steps=0.05`: part of all steps; batch statistics of random weights move fast.
    - `lr_scheduler_type`, `logging_strategy`, `logging_nan_inf_filter`, `save_strategy`: as `FinetuneArguments`.

    Raises:
        InputError: an option that cannot be used, named with the value found.
    """

    augment: bool = option(True, "random crops and flips")
    optim: str = option("sgd", "optimizer: sgd (momentum 0.9, Nesterov), adamw_torch, ...")
    learning_rate: float | str = option(
        "auto", "auto (sgd 0.1, others 1e-3; from a trained model 0.01, 5e-5) or a positive number"
    )
    per_device_train_batch_size: int = option(128, "images of a step on one device")
    num_train_epochs: float = option(30.0, "passes over the images")
    warmup_steps: float = option(0.05, "steps of linear warm-up; below 1: part of all steps")
    weight_decay: float = option(5e-4, "weight decay")

    _run = "finetune --task image"

    def _check_own(self) -> None:
        if self.train_sampling_strategy == "group_by_length":
            raise InputError("--train-sampling-strategy group_by_length is for texts; images have no lengths")


def _auto_or_rate(given: float | str) -> float | str:
    """A learning rate as it was given: `auto`, or a number.

    Raises:
        InputError: neither.
    """
    if str(given) == "auto":
        return "auto"
    try:
        rate = float(given)
    except ValueError:
        rate = math.nan
    if not (math.isfinite(rate) and rate > 0):
        raise InputError(f"--learning-rate {given} is not auto or a positive number")
    check_rate(rate, f"--learning-rate {given}")
    return rate
