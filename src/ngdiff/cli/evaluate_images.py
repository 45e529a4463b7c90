"""`ngdiff evaluate --task image`."""

import sys
from dataclasses import dataclass
from typing import Any, cast

import torch

from ngdiff.cli.images import ImageOptions, describe_images, in_order_of, read_for_model, refuse_several_processes
from ngdiff.cli.inputs import inputs_of
from ngdiff.cli.options import ModelOptions, resolved
from ngdiff.cli.parsing import CommandParser, option
from ngdiff.cli.task import TaskOptions
from ngdiff.data import split_images
from ngdiff.errors import InputError
from ngdiff.evaluation import EvaluationResult, format_table, write_evaluation
from ngdiff.evaluation.images import predict_images
from ngdiff.files import check_output, prepare_output
from ngdiff.manifest import describe_model, write_manifest
from ngdiff.modeling import load_image_model


@dataclass
class EvaluateOptions:
    """How to evaluate, and where results go."""

    output: str | None = option(
        None, help="folder for metrics.json and the records; none: the table alone", value="DIR"
    )
    overwrite: bool = option(False, help="replace what an earlier evaluation wrote there")
    batch_size: int = option(256, help="images of a batch")


@dataclass
class AllOptions(TaskOptions, ModelOptions, ImageOptions, EvaluateOptions):
    """All of them."""


PARSER = CommandParser(
    "evaluate",
    "Measure what an image classifier knows: accuracy, probability and loss of the forgotten and the kept training "
    "images (forget, retain), of test images of the forgotten classes (holdout) and of the others (test); and whether "
    "its losses tell forgotten images from those it never saw (membership inference).",
    {"task": TaskOptions, "model": ModelOptions, "data": ImageOptions, "evaluation": EvaluateOptions},
    required=("model", "dataset"),
)


def run(words: list[str]) -> None:
    """Run the command.

    Raises:
        InputError: options, images or model that cannot be used; before any long work.
    """
    values = PARSER.parse(words)
    if values is None:
        return
    refuse_several_processes()  # before the options start a process group
    options: AllOptions = PARSER.build(AllOptions, values)
    if options.batch_size < 1:
        raise InputError(f"--batch-size {options.batch_size} is not 1 or more")
    where: dict[str, Any] = {
        "overwrite": options.overwrite,
        "resumable": False,
        "inputs": inputs_of(options.model, options.dataset),
    }
    if options.output is not None:
        check_output(options.output, **where)
    data, preparation = read_for_model(options, options.model)
    model: Any = load_image_model(options.model, dtype=options.dtype, trust_remote_code=options.trust_remote_code)
    data = in_order_of(model, data)
    sets = split_images(
        data, forget_class=options.forget_class, forget_rows=options.forget_rows, seed=options.forget_seed
    ).sets()
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    records = predict_images(model.to(device), sets, preparation, batch_size=options.batch_size, device=device)
    result = EvaluationResult.of(cast(Any, records))
    if options.output is not None:
        folder = prepare_output(options.output, **where)
        write_manifest(
            folder,
            command=["ngdiff", "evaluate", *words],
            config=resolved(options),
            data={name: describe_images(options.dataset, images) for name, images in sets.items()},
            model=describe_model(options.model),
            template=None,
            seed=options.forget_seed,
        )
        write_evaluation(result, folder)
    sys.stdout.write(format_table(result.as_json()) + "\n")
    if options.output is not None:
        sys.stdout.write(f"Written to {options.output}\n")
