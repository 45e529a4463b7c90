"""Image classifiers and images."""

from collections.abc import Mapping, Set
from contextlib import AbstractContextManager, nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from ngdiff.core.answers import IGNORED, Answers
from ngdiff.data import ImageData, Images, Preparation, read_images
from ngdiff.errors import InputError
from ngdiff.evaluation.eval_mode import eval_mode
from ngdiff.modeling import image_logits
from ngdiff.modeling.image_forward import image_answers
from ngdiff.modeling.load_errors import first_line
from ngdiff.option import check_choice
from ngdiff.plurals import some_of, verb
from ngdiff.tasks.base import NO_ROW, Example, RunSettings, Task
from ngdiff.tasks.batch_norm import frozen_statistics

BATCH_NORM = ("frozen", "train")


class ImageTask(Task):
    """Image classifiers: images to prepared batches, batches to the losses of their labels.

    The images are never cropped or flipped: the model's outputs for them before unlearning, the losses of a probe and
    the forget ceiling are all about the images themselves.

    Batch normalisation. `frozen`: both passes of a step, the probes and every evaluation use the running statistics of
    the model as it came, and nothing moves them. All of them see one and the same function of the weights, whose two
    gradients are what the weighting weighs; a batch of one class does not shift it, and it does not matter how a step
    is cut into micro-batches. `train`: each pass uses the statistics of its own batch and moves the running ones, as in
    ordinary training; probes and evaluations use the running ones and leave them as they are, bit for bit.

    Args:
        model: An image classifier of transformers, or any module that maps a batch (B, C, H, W) to logits (B, V),
            itself or in `.logits`.
        preparation: What the model is given of an image.
        batch_norm: `frozen` or `train`.
        holdout_is_like_forget: Whether the images to forget are of any class, so that a model without them treats them
            as it treats the holdout images. Images of a class to forget are another matter: the model knows the class.

    Raises:
        InputError: another `batch_norm`.
    """

    inputs = ("pixel_values", "labels")
    hashed = ("pixels_sha256", "labels")
    noun = "an image classifier"
    unit = "image"
    conditions = "model, preparation and labels"
    auto_retain = "kl"  # with `ce`, retain images known by heart take the loss of test images from 2.0 to 4.0 nats
    level_rows = 256  # of one label each

    def __init__(
        self,
        model: nn.Module,
        preparation: Preparation,
        *,
        batch_norm: str = "frozen",
        holdout_is_like_forget: bool = False,
    ) -> None:
        check_choice("--batch-norm", batch_norm, BATCH_NORM)
        self.model, self.preparation, self.batch_norm = model, preparation, batch_norm
        self.holdout_is_like_forget = holdout_is_like_forget
        self.collate = preparation.collate
        self.same_in_evaluation = batch_norm == "frozen" or not _has_batch_norm(model)
        self._classes: int | None = None

    def prepare(self, run: RunSettings) -> None:
        """Refuse what only texts have.

        Raises:
            InputError: an objective that needs hidden states, several tokens or other answers, an option of language
                models, or a second forget pass that would move batch statistics twice.
        """
        super().prepare(run)
        for role, objective in run.objectives.items():
            name = run.objective_names[role]
            if "hidden" in objective.needs:
                raise InputError(
                    f"--{role}-objective {name} works on hidden states of language models; an image classifier has none"
                )
            if objective.unit == "later_token":
                raise InputError(
                    f"--{role}-objective {name} leaves out the first token of each answer, "
                    "and an image has but one label"
                )
            if "alternate" in objective.needs:
                raise InputError(
                    f"--{role}-objective {name} teaches another answer, which images do not have; use one that needs "
                    "none, such as ce or npo"
                )
        if run.gradient_buffers == 1 and not self.same_in_evaluation:
            raise InputError(
                "--gradient-buffers 1 takes the forget pass twice, which would move the statistics of --batch-norm "
                "train twice; use 2, or --batch-norm frozen"
            )

    def encode(self, source: Any, role: str) -> Images:
        """The images of a data set argument: `Images`, or what `ngdiff.data.read_images` reads (its training images).

        Raises:
            InputError: no images, or images that the model cannot take.
        """
        images = source
        if not isinstance(source, Images):
            size = self.preparation.size
            data: ImageData = read_images(source, size=size[0] if size is not None and size[0] == size[1] else None)
            images = data.train
        if not len(images):
            raise InputError(f"{role}: no images")
        self._check(images, role)
        return images

    def encode_holdout(self, source: Any) -> Images:
        """Images that the model never saw. Raises as `encode`."""
        return self.encode(source, "--holdout")

    def encode_pair(self, forget: Any, retain: Any) -> tuple[Images, Images]:
        """Both sets, checked against each other.

        Raises:
            InputError: as `encode`, other classes in one than in the other, or an image that is in both sets.
        """
        own, other = self.encode(forget, "--forget"), self.encode(retain, "--retain")
        if own.class_names != other.class_names:
            raise InputError("the images to forget and those to keep do not have the same classes")
        kept = {(digest, int(label)) for digest, label in zip(other.digests, other.labels, strict=True)}
        twice = sum((digest, int(label)) in kept for digest, label in zip(own.digests, own.labels, strict=True))
        if twice:
            raise InputError(
                f"{some_of(twice, len(own), 'image')} to forget {verb(twice)} also among those to keep, with the same "
                f"label; give {verb(twice, 'it', 'each')} to one of the sets"
            )
        return own, other

    def placeholder(self, row: Example) -> Example:
        """A row from which nothing is learned."""
        return {**row, "labels": IGNORED, "row_id": NO_ROW}

    def training(self, model: nn.Module) -> AbstractContextManager[None]:
        """What holds of the model's modules while it is trained."""
        return frozen_statistics(model) if self.batch_norm == "frozen" else nullcontext()

    def forward(
        self, model: nn.Module, batch: Mapping[str, Tensor], needs: Set[str] = frozenset(), layer: int | None = None
    ) -> Answers:
        """The losses of a batch's labels, and what else is needed."""
        return image_answers(model, batch, needs)

    def choices(self, model: nn.Module) -> int:
        """Number of outputs of the model."""
        assert self._classes is not None  # `encode` has counted them
        return self._classes

    def _check(self, images: Images, role: str) -> None:
        """One image through the model: does it take images of this kind, and is there an output for each class?"""
        device = next((p.device for p in self.model.parameters()), torch.device("cpu"))
        batch = self.preparation(images.pixels[:1]).to(device)
        with eval_mode(self.model):
            try:
                logits = image_logits(self.model, batch)
            except (RuntimeError, ValueError, TypeError, AttributeError) as error:
                reason = first_line(error)
                raise InputError(
                    f"{role}: the model does not map a batch of shape {tuple(batch.shape)} to logits: {reason}"
                ) from error
        if logits.ndim != 2 or len(logits) != 1:
            raise InputError(
                f"{role}: for 1 image the model gives an output of shape {tuple(logits.shape)}; expected (1, classes)"
            )
        self._classes = logits.shape[1]
        if self._classes != len(images.class_names):
            raise InputError(
                f"{role}: the images have {len(images.class_names)} classes, the model {self._classes} outputs"
            )


def _has_batch_norm(model: nn.Module) -> bool:
    return any(isinstance(module, nn.modules.batchnorm._BatchNorm) for module in model.modules())
