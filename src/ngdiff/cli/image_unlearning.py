"""`ngdiff unlearn --task image`: what it reads, loads and trains."""

import shlex
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ngdiff.cli.earlier import EarlierRequests
from ngdiff.cli.images import (
    ImageOptions,
    check_forgotten,
    check_places,
    describe_images,
    described_names,
    in_order_of,
    read_for_model,
    refuse_several_processes,
    split_by,
)
from ngdiff.cli.images_forgotten_before import without_images_forgotten_before
from ngdiff.cli.inputs import inputs_of
from ngdiff.cli.option_words import words_for
from ngdiff.cli.options import ModelOptions, TrainingOutputOptions
from ngdiff.cli.parsing import CommandParser, option
from ngdiff.cli.require import RequireOptions
from ngdiff.cli.task_option import TaskOptions
from ngdiff.cli.trainer_arguments import TrainerArguments
from ngdiff.cli.upload import HubOptions
from ngdiff.errors import InputError
from ngdiff.manifest import describe_model
from ngdiff.option import dashed
from ngdiff.paths import user_path
from ngdiff.tasks.text_options import TextOptions
from ngdiff.training.autolr_options import AutoLROptions
from ngdiff.training.gradient_options import GradientOptions
from ngdiff.training.unlearn_arguments import UnlearnArguments

if TYPE_CHECKING:
    from ngdiff.training import UnlearnConfig, UnlearnTrainer


@dataclass
class ClassifierOptions:
    """Options of image classifiers only."""

    batch_norm: str = option(
        "frozen",
        help="statistics of batch normalisation: frozen (the model's own, untouched) or train (of each batch)",
        value="WHICH",
    )


@dataclass
class ImageUnlearnOptions(
    TaskOptions, ModelOptions, ImageOptions, ClassifierOptions, TrainingOutputOptions, HubOptions, RequireOptions
):
    """Everything that is not an argument of the trainer."""


class ImageUnlearning(TrainerArguments):
    """Images and a classifier; see `ngdiff.cli.tasks.Unlearning`."""

    parser = CommandParser(
        "unlearn",
        "Make an image classifier forget a class, a part of one, or some images, and keep the rest. The learning rate "
        "is found from the loss of the retained images; nothing needs tuning.",
        {
            "task": TaskOptions,
            "model": ModelOptions,
            "data": ImageOptions,
            "classifier": ClassifierOptions,
            "output": TrainingOutputOptions,
            "upload": HubOptions,
            "requirements": RequireOptions,
            "method and training": UnlearnArguments,
            "learning rate": AutoLROptions,
            "gradients": GradientOptions,
        },
        required=("model", "dataset", "output"),
        short=(
            *("model", "dataset", "forget_class", "forget_rows", "forget_images", "output", "method"),
            *("num_train_epochs", "per_device_train_batch_size", "seed", "resume", "task"),
        ),
        example="ngdiff unlearn --task image --model classifier --dataset cifar10 --forget-class dog --output out",
        refused={
            name: f"{dashed(name)} is for texts; --task image does not have it"
            for name in ("dry_run", *TextOptions.names())
        }
        | {
            "after": "--after is for texts: which images an earlier request forgot is not read again, so that they "
            "cannot be measured again; give --model OUT, which does not keep them either, and measure them with ngdiff "
            "evaluate"
        },
    )
    any_number_of_processes = False
    template = template_text = None
    earlier = EarlierRequests(None)

    @classmethod
    def accepted(cls, values: Mapping[str, Any]) -> ImageUnlearnOptions:
        """The options."""
        refuse_several_processes()  # before the options start a process group
        for name in TextOptions.names():  # a config file of an earlier run names them, too, with their defaults
            if values.get(name) not in (None, getattr(TextOptions, name)):
                raise InputError(cls.parser.refused[name])
        options: ImageUnlearnOptions = cls.parser.build(ImageUnlearnOptions, values)
        return options

    def __init__(self, options: ImageUnlearnOptions, config: UnlearnArguments) -> None:
        self.options, self.config = options, config
        self.inputs = inputs_of(options.model, options.dataset, options.forget_images)
        self._named = options.named_images()
        self.own = described_names(self._named)
        self.extra: dict[str, Any] = {}

    def open_inputs(self) -> None:
        """Images take torch to be read: whether they are there, and what the run writes is not among them."""
        options = self.options
        check_forgotten(options)
        check_places(options, options.model)
        images, output = user_path(options.dataset), user_path(options.output)
        if images.is_dir() and output.resolve().is_relative_to(images.resolve()):
            raise InputError(
                f"--output {options.output} lies in --dataset {options.dataset}, where the curves of the run would be "
                "taken for an image; choose another folder"
            )

    def read(self) -> None:
        """Images and model: its classes say in which order theirs are."""
        from ngdiff.modeling import load_image_model

        options = self.options
        data, self.companion = read_for_model(options, options.model, self._named)
        split = split_by(options, data, self._named)
        split = without_images_forgotten_before(options.model, options.dataset, data, split)
        if self.config.ceiling_form == "holdout" and split.holdout is None:
            raise InputError(
                f"--forget-ceiling holdout: {options.dataset} has no test images of what is to be forgotten"
            )
        self._model = load_image_model(options.model, dtype=options.dtype, trust_remote_code=options.trust_remote_code)
        self._split = in_order_of(self._model, split, name=options.model, source=options.dataset)
        self.data = describe_images(options.dataset, self._split.sets())
        self.model_files = describe_model(options.model)

    def trainer(self, output: Path, config: "UnlearnConfig") -> "UnlearnTrainer":
        """The model in its trainer."""
        from ngdiff.tasks import ImageTask
        from ngdiff.training import UnlearnTrainer

        return UnlearnTrainer(
            self._model,
            config,
            self._split.forget,
            self._split.retain,
            holdout_dataset=self._split.holdout,
            task=ImageTask(
                self._model,
                self.companion,
                batch_norm=self.options.batch_norm,
                holdout_is_like_forget=self.options.forget_class is None,
            ),
        )

    def evaluation(self) -> str:
        """The command that scores the model on the sets of the run."""
        options = self.options
        given = {
            "task": "image",
            "model": options.output,
            "dataset": options.dataset,
            "forget-class": options.forget_class,
            "forget-rows": options.forget_rows,
            "forget-images": options.forget_images,
            "forget-seed": options.forget_seed or None,
            "image-size": options.image_size,
            "dtype": None if options.dtype == ModelOptions.dtype else options.dtype,
        }
        flags = ["--trust-remote-code"] if options.trust_remote_code else []
        return shlex.join(["ngdiff", "evaluate", *words_for(given), *flags])
