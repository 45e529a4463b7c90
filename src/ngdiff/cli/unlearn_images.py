"""`ngdiff unlearn --task image`."""

import shlex
import sys
from dataclasses import dataclass
from typing import Any

from ngdiff.cli.images import (
    TEXT_ONLY,
    ImageOptions,
    describe_images,
    in_order_of,
    read_for_model,
    refuse_several_processes,
)
from ngdiff.cli.inputs import inputs_of
from ngdiff.cli.options import ModelOptions, OutputOptions, resolved
from ngdiff.cli.own_code import describe_own
from ngdiff.cli.parsing import CommandParser, option
from ngdiff.cli.resume import checkpoint_to_resume, is_done, refuse_other_run
from ngdiff.cli.task import TaskOptions
from ngdiff.cli.unlearn_run import run_and_write
from ngdiff.data import split_images
from ngdiff.errors import InputError
from ngdiff.files import check_output, prepare_output
from ngdiff.manifest import describe_model
from ngdiff.modeling import load_image_model
from ngdiff.paths import user_path
from ngdiff.speed.cpu.denormals import denormals_are_zero
from ngdiff.tasks import ImageTask
from ngdiff.training import UnlearnConfig, UnlearnTrainer


@dataclass
class ClassifierOptions:
    """What only image classifiers have."""

    batch_norm: str = option(
        "frozen",
        help="statistics of batch normalisation: frozen (the model's own, untouched) or train (of each batch)",
        value="WHICH",
    )


@dataclass
class UnlearnOptions(TaskOptions, ModelOptions, ImageOptions, ClassifierOptions, OutputOptions):
    """Everything that is not an argument of the trainer."""


PARSER = CommandParser(
    "unlearn",
    "Make an image classifier forget a class, or a part of one, or some images, and keep the rest. The learning rate "
    "is found from the loss on what is kept; nothing needs tuning.",
    {
        "task": TaskOptions,
        "model": ModelOptions,
        "data": ImageOptions,
        "classifier": ClassifierOptions,
        "output": OutputOptions,
        "method and training": UnlearnConfig,
    },
    required=("model", "dataset", "output"),
)


@denormals_are_zero()  # before torch starts threads of its own
def run(words: list[str]) -> None:
    """Run the command.

    Raises:
        InputError: options, images or model that cannot be used; before any long work.
    """
    values = PARSER.parse(words)
    if values is None:
        return
    refuse_several_processes()  # before the options start a process group
    for name in TEXT_ONLY:  # a config file of an earlier run names them, too, with their defaults
        if values.get(name) not in (None, getattr(UnlearnConfig, name)):
            raise InputError(f"--{name.replace('_', '-')} is for texts; --task image does not have it")
    options: UnlearnOptions = PARSER.build(UnlearnOptions, values)
    config: UnlearnConfig = PARSER.build(UnlearnConfig, values, output_dir=str(user_path(options.output, "--output")))
    where: dict[str, Any] = {
        "overwrite": options.overwrite,
        "resume": options.resume,
        "inputs": inputs_of(options.model, options.dataset),
    }
    output = check_output(options.output, **where)
    data, preparation = read_for_model(options, options.model)
    model = load_image_model(options.model, dtype=options.dtype, trust_remote_code=options.trust_remote_code)
    data = in_order_of(model, data)
    split = split_images(
        data, forget_class=options.forget_class, forget_rows=options.forget_rows, seed=options.forget_seed
    )
    if config.ceiling_form == "holdout" and split.holdout is None:
        raise InputError(f"--forget-ceiling holdout: {options.dataset} has no test images of what is to be forgotten")
    settings = resolved(options, config)
    described = {name: describe_images(options.dataset, images) for name, images in split.sets().items()}
    model_files = describe_model(options.model)
    own = describe_own(config)
    if options.resume:
        refuse_other_run(options.output, settings, data=described, model=model_files, own=own)
    if is_done(options.output, settings, resume=options.resume):
        return
    checkpoint = checkpoint_to_resume(options.output, resume=options.resume, with_best=config.load_best_model_at_end)
    trainer = UnlearnTrainer(
        model,
        config,
        split.forget,
        split.retain,
        holdout_dataset=split.holdout,
        task=ImageTask(model, preparation, batch_norm=options.batch_norm),
    )
    prepare_output(options.output, **where)
    manifest: dict[str, Any] = {
        "command": ["ngdiff", "unlearn", *words],
        "config": settings,
        "data": described,
        "model": model_files,
        "template": None,
        "seed": config.seed,
        "own": own,
    }
    run_and_write(trainer, preparation, output, manifest, checkpoint=checkpoint)
    sys.stdout.write(f"The model is in {options.output}; what it still knows:\n  {_evaluation(options)}\n")


def _evaluation(options: UnlearnOptions) -> str:
    """The command that scores the model on the sets of the run."""
    given = {
        "task": "image",
        "model": options.output,
        "dataset": options.dataset,
        "forget-class": options.forget_class,
        "forget-rows": options.forget_rows,
        "forget-seed": options.forget_seed or None,
        "image-size": options.image_size,
        "dtype": None if options.dtype == ModelOptions.dtype else options.dtype,
    }
    words = [word for name, value in given.items() if value is not None for word in (f"--{name}", str(value))]
    flags = ["--trust-remote-code"] if options.trust_remote_code else []
    return shlex.join(["ngdiff", "evaluate", *words, *flags])
