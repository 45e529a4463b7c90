"""`ngdiff evaluate --task image`: what it reads, checks and predicts."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, cast

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
from ngdiff.cli.loading import say_loading
from ngdiff.cli.options import ModelOptions
from ngdiff.cli.parsing import CommandParser, option
from ngdiff.cli.require import JudgeOptions
from ngdiff.cli.task_option import TaskOptions
from ngdiff.manifest import describe_model
from ngdiff.ranges import Range

if TYPE_CHECKING:
    from ngdiff.data import Images
    from ngdiff.evaluation import EvaluationResult
    from ngdiff.evaluation.processes import Processes
    from ngdiff.evaluation.work import Work


@dataclass
class HowOptions:
    """How to evaluate, and where results go."""

    output: str | None = option(
        None, help="folder for metrics.json and the records; none: the table alone", value="DIR"
    )
    overwrite: bool = option(False, help="replace what an earlier evaluation wrote there")
    batch_size: int = option(256, help="images of a batch", accepted=Range(1, 1_000_000))


@dataclass
class ImageEvaluateOptions(TaskOptions, ModelOptions, ImageOptions, HowOptions, JudgeOptions):
    """All of them."""


class ImageEvaluation:
    """Images and a classifier; see `ngdiff.cli.tasks.Evaluation`."""

    parser = CommandParser(
        "evaluate",
        "Measure what an image classifier knows: accuracy, probability and loss of the forgotten and the kept training "
        "images (forget, retain), of test images of the forgotten classes (holdout) and of the others (test); and "
        "whether its losses tell forgotten images from those it never saw (membership inference).",
        {
            "task": TaskOptions,
            "model": ModelOptions,
            "data": ImageOptions,
            "evaluation": HowOptions,
            "requirements": JudgeOptions,
        },
        required=("model", "dataset"),
        short=(
            *("model", "dataset", "forget_class", "forget_rows", "forget_images", "output", "batch_size", "before"),
            *("require", "task"),
        ),
        example="ngdiff evaluate --task image --model out --dataset cifar10 --forget-class dog --output scores",
    )
    template = template_text = None

    @classmethod
    def accepted(cls, values: Mapping[str, Any]) -> ImageEvaluateOptions:
        """The options."""
        refuse_several_processes()  # before the options start a process group
        options: ImageEvaluateOptions = cls.parser.build(ImageEvaluateOptions, values)
        return options

    def __init__(self, options: ImageEvaluateOptions) -> None:
        self.options, self.seed = options, options.forget_seed
        self.inputs = inputs_of(options.model, options.dataset, options.forget_images)
        self._named = options.named_images()
        self.own = described_names(self._named)
        self.sets: dict[str, Images] = {}

    def open_inputs(self) -> None:
        """Images take torch to be read: whether they are there."""
        check_forgotten(self.options)
        check_places(self.options, self.options.model)

    def read(self) -> None:
        """The images."""
        data, self._preparation = read_for_model(self.options, self.options.model, self._named)
        split = split_by(self.options, data, self._named)
        self._split = without_images_forgotten_before(self.options.model, self.options.dataset, data, split)

    def data(self) -> dict[str, dict[str, Any]]:
        """For the manifest: the images; after `load`, as the model says in which order classes are."""
        return describe_images(self.options.dataset, self.sets)

    def model_files(self) -> dict[str, Any]:
        """For the manifest: the model."""
        return describe_model(self.options.model)

    def load(self, processes: "Processes") -> None:
        """The model, and the sets as it orders their classes."""
        from ngdiff.modeling import load_image_model

        options = self.options
        say_loading(f"the model {options.model}")
        model = load_image_model(options.model, dtype=options.dtype, trust_remote_code=options.trust_remote_code)
        self.sets = in_order_of(model, self._split, name=options.model, source=options.dataset).sets()
        self._device = processes.device
        self._model = cast(Any, model).to(self._device)

    def result(self, work: "Work") -> "EvaluationResult":
        """Records and their metrics."""
        from ngdiff.evaluation import EvaluationResult
        from ngdiff.evaluation.images import predict_images

        size, device = self.options.batch_size, cast(Any, self._device)
        records = predict_images(self._model, self.sets, self._preparation, batch_size=size, device=device)
        return EvaluationResult.of(cast(Any, records))
