"""`ngdiff finetune --task image`: what it reads, loads and trains."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ngdiff.cli.images import (
    ImageOptions,
    check_places,
    describe_images,
    described_names,
    read_for_model,
    refuse_several_processes,
    split_by,
)
from ngdiff.cli.inputs import described_shape, inputs_of
from ngdiff.cli.options import ModelOptions, TrainingOutputOptions
from ngdiff.cli.parsing import CommandParser
from ngdiff.cli.task_option import TaskOptions
from ngdiff.manifest import describe_model
from ngdiff.modeling import IMAGE_SHAPES, is_image_shape
from ngdiff.training.finetune_arguments import ImageFinetuneArguments

if TYPE_CHECKING:
    from ngdiff.training.finetune import FinetuneResult
    from ngdiff.training.finetune_images import ImageFinetuneConfig


@dataclass
class ImageFinetuneOptions(TaskOptions, ModelOptions, ImageOptions, TrainingOutputOptions):
    """Everything that is not an argument of the trainer."""


class ImageFinetuning:
    """Images and a classifier; see `ngdiff.cli.tasks.Finetuning`."""

    parser = CommandParser(
        "finetune",
        "Train an image classifier: the target of an unlearning run; or, with --forget-class, --forget-rows or "
        "--forget-images, the reference that never saw what is to be forgotten. --model may be a shape with random "
        f"weights ({', '.join(IMAGE_SHAPES)}) or a config.json.",
        {
            "task": TaskOptions,
            "model": ModelOptions,
            "data": ImageOptions,
            "output": TrainingOutputOptions,
            "training": ImageFinetuneArguments,
        },
        required=("model", "dataset", "output"),
        short=(
            *(
                "model",
                "dataset",
                "forget_class",
                "forget_rows",
                "forget_images",
                "output",
                "learning_rate",
                "num_train_epochs",
            ),
            *("per_device_train_batch_size", "seed", "resume", "task"),
        ),
        example="ngdiff finetune --task image --model resnet20-cifar --dataset cifar10 --output my-classifier",
    )
    template = template_text = None

    @classmethod
    def accepted(cls, values: Mapping[str, Any]) -> ImageFinetuneOptions:
        """The options."""
        refuse_several_processes()  # before the options start a process group
        options: ImageFinetuneOptions = cls.parser.build(ImageFinetuneOptions, values)
        return options

    @classmethod
    def arguments(cls, values: Mapping[str, Any], output: Path) -> ImageFinetuneArguments:
        """The arguments of the trainer, checked without torch."""
        arguments: ImageFinetuneArguments = cls.parser.checked(ImageFinetuneArguments, values, output_dir=str(output))
        return arguments

    @classmethod
    def trainer_config(cls, values: Mapping[str, Any], output: Path) -> "ImageFinetuneConfig":
        """The arguments of the trainer."""
        from ngdiff.training.finetune_images import ImageFinetuneConfig

        config: ImageFinetuneConfig = cls.parser.build(ImageFinetuneConfig, values, output_dir=str(output))
        return config

    def __init__(self, options: ImageFinetuneOptions, config: ImageFinetuneArguments) -> None:
        self.options, self.config = options, config
        self.fresh = is_image_shape(options.model)
        self.inputs = inputs_of(options.model, options.dataset, options.forget_images)
        self._named = options.named_images()
        self.own = described_names(self._named)

    def open_inputs(self) -> None:
        """Images take torch to be read: whether they are there."""
        check_places(self.options, self.options.model, fresh=self.fresh)

    def read(self) -> None:
        """The images; without those to be forgotten where some are named."""
        options = self.options
        self._data, self.companion = read_for_model(options, options.model, self._named, fresh=self.fresh)
        self._images = self._data.train
        if self._named is not None or options.forget_class is not None or options.forget_rows is not None:
            self._images = split_by(options, self._data, self._named).retain
        self.data = describe_images(options.dataset, {"train": self._images})
        self.model_files = described_shape(options.model) if self.fresh else describe_model(options.model)

    def load(self, output: Path) -> None:
        """The model, with an output for each class."""
        from ngdiff.modeling import build_image_model, load_image_model

        options, data, seed = self.options, self._data, self.config.seed
        if self.fresh:
            self.model = build_image_model(options.model, data.class_names, data.train.size, seed=seed)
        else:
            self.model = load_image_model(
                options.model,
                class_names=data.class_names,
                seed=seed,
                dtype=options.dtype,
                trust_remote_code=options.trust_remote_code,
            )

    def begun(self) -> None:
        """Nothing is written beside the model."""

    def train(self, config: "ImageFinetuneConfig", **options: Any) -> "FinetuneResult":
        """Train; options as of `ngdiff.training.finetune_images.finetune_images`."""
        from ngdiff.training.finetune_images import finetune_images

        return finetune_images(self.model, self._images, self.companion, config, fresh=self.fresh, **options)
