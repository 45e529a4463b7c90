"""`ngdiff finetune --task image`."""

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ngdiff.cli.at_begin import AtBegin
from ngdiff.cli.images import ImageOptions, describe_images, read_for_model, refuse_several_processes
from ngdiff.cli.inputs import inputs_of
from ngdiff.cli.options import ModelOptions, OutputOptions, resolved
from ngdiff.cli.parsing import CommandParser
from ngdiff.cli.resume import checkpoint_to_resume, is_done, refuse_other_run
from ngdiff.cli.ruined import RUINED, in_ruined, ruined_error
from ngdiff.cli.signals import SIGNALS
from ngdiff.cli.task import TaskOptions
from ngdiff.data import split_images
from ngdiff.files import check_output, prepare_output, sha256_file
from ngdiff.manifest import describe_model, write_manifest
from ngdiff.modeling import IMAGE_SHAPES, build_image_model, is_image_shape, load_image_model, save_model
from ngdiff.paths import user_path
from ngdiff.training.finetune_images import ImageFinetuneConfig, finetune_images


@dataclass
class FinetuneOptions(TaskOptions, ModelOptions, ImageOptions, OutputOptions):
    """Everything that is not an argument of the trainer."""


PARSER = CommandParser(
    "finetune",
    "Train an image classifier: the target of an unlearning run; or, with --forget-class or --forget-rows, the "
    "reference that never saw what is to be forgotten. --model may be a shape with random weights "
    f"({', '.join(IMAGE_SHAPES)}) or a config.json.",
    {
        "task": TaskOptions,
        "model": ModelOptions,
        "data": ImageOptions,
        "output": OutputOptions,
        "training": ImageFinetuneConfig,
    },
    required=("model", "dataset", "output"),
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
    options: FinetuneOptions = PARSER.build(FinetuneOptions, values)
    config: ImageFinetuneConfig = PARSER.build(
        ImageFinetuneConfig, values, output_dir=str(user_path(options.output, "--output"))
    )
    where: dict[str, Any] = {
        "overwrite": options.overwrite,
        "resume": options.resume,
        "inputs": inputs_of(options.model, options.dataset),
    }
    output = check_output(options.output, **where)
    fresh = is_image_shape(options.model)
    data, preparation = read_for_model(options, options.model, fresh=fresh)
    images = data.train
    if options.forget_class is not None or options.forget_rows is not None:
        split = split_images(
            data, forget_class=options.forget_class, forget_rows=options.forget_rows, seed=options.forget_seed
        )
        images = split.retain
    settings = resolved(options, config)
    described = {"train": describe_images(options.dataset, images)}
    model_files = _describe_shape(options.model) if fresh else describe_model(options.model)
    if options.resume:
        refuse_other_run(options.output, settings, data=described, model=model_files)
    if is_done(options.output, settings, resume=options.resume):
        return
    checkpoint = checkpoint_to_resume(options.output, resume=options.resume, with_best=config.load_best_model_at_end)
    if fresh:
        model = build_image_model(options.model, data.class_names, data.train.size, seed=config.seed)
    else:
        model = load_image_model(
            options.model,
            class_names=data.class_names,
            seed=config.seed,
            dtype=options.dtype,
            trust_remote_code=options.trust_remote_code,
        )

    manifest: dict[str, Any] = {
        "command": ["ngdiff", "finetune", *words],
        "config": settings,
        "data": described,
        "model": model_files,
        "template": None,
        "seed": config.seed,
    }

    def begin() -> None:
        prepare_output(options.output, **where)
        SIGNALS.resumable = not config.save_only_model
        write_manifest(output, **manifest, extra={"finished": False})

    result = finetune_images(
        model,
        images,
        preparation,
        config,
        fresh=fresh,
        callbacks=[AtBegin(begin)],
        resume=checkpoint or False,
        stop_request=SIGNALS.request,
    )
    ruined = result.outcome.ruined
    files = save_model(model, preparation, output / RUINED if ruined else output)
    files = in_ruined(files) if ruined else files
    extra = {"finished": True, **({"ruined": ruined, "model": RUINED} if ruined else {})}
    write_manifest(output, **manifest, extra=extra, outputs=files)
    if result.outcome.ruined:
        raise ruined_error(output, result.outcome, "--max-loss")
    sys.stdout.write(
        f"training loss {result.loss:.4f} after {result.epochs:g} epochs; the model is in {options.output}\n"
    )


def _describe_shape(shape: str) -> dict[str, Any]:
    return {"shape": shape, **({"sha256": sha256_file(shape)} if Path(shape).is_file() else {})}
