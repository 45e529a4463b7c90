"""`ngdiff unlearn`."""

import shlex
from dataclasses import dataclass
from typing import Any

from ngdiff.cli import unlearn_images
from ngdiff.cli.adapters import check_adapter_options, prepared
from ngdiff.cli.at_begin import AtBegin
from ngdiff.cli.dry_run import DryRunOptions, dry_run
from ngdiff.cli.inputs import inputs_of
from ngdiff.cli.options import LoraOptions, ModelOptions, OutputOptions, SetOptions, read_sets, resolved
from ngdiff.cli.overlap import without_overlap
from ngdiff.cli.own_code import describe_own
from ngdiff.cli.parsing import CommandParser
from ngdiff.cli.processes import is_first, say
from ngdiff.cli.resume import checkpoint_to_resume, is_done, refuse_other_run
from ngdiff.cli.task import TaskOptions, task_of
from ngdiff.cli.unlearn_run import run_and_write
from ngdiff.data import resolve_template
from ngdiff.errors import InputError
from ngdiff.files import check_output, prepare_output
from ngdiff.manifest import describe_data, describe_model
from ngdiff.modeling import check_savable, load_model, load_tokenizer
from ngdiff.paths import user_path
from ngdiff.speed.cpu.denormals import denormals_are_zero
from ngdiff.training import UnlearnConfig, UnlearnTrainer


@dataclass
class UnlearnOptions(TaskOptions, ModelOptions, SetOptions, OutputOptions, LoraOptions, DryRunOptions):
    """Everything that is not an argument of the trainer."""


PARSER = CommandParser(
    "unlearn",
    "Make a model forget one set of rows and keep another. The learning rate is found from the retain loss; "
    "nothing needs tuning.",
    {
        "task": TaskOptions,
        "model": ModelOptions,
        "data": SetOptions,
        "output": OutputOptions,
        "adapter": LoraOptions,
        "estimate": DryRunOptions,
        "method and training": UnlearnConfig,
    },
    required=("model", "forget", "retain", "output"),
)


@denormals_are_zero()  # before torch starts threads of its own
def run(words: list[str]) -> None:
    """Run the command.

    Raises:
        InputError: options, rows or model that cannot be used; before any long work.
    """
    if task_of(words) == "image":
        if any(word.partition("=")[0] in ("--dry-run", "--dry_run") for word in words):
            raise InputError("--dry-run is for texts; --task image does not have it")
        unlearn_images.run(words)
        return
    values = PARSER.parse(words)
    if values is None:
        return
    options: UnlearnOptions = PARSER.build(UnlearnOptions, values)
    check_adapter_options(options.model, options)
    if options.dry_run:
        dry_run(PARSER, options, values, read_sets(options))
        return
    if options.tokenizer is not None:
        raise InputError(f"--tokenizer {options.tokenizer} is for --dry-run; a model to unlearn has its own")
    config: UnlearnConfig = PARSER.build(UnlearnConfig, values, output_dir=str(user_path(options.output, "--output")))
    peft_config = options.peft_config()
    sets = read_sets(options)
    tokenizer = load_tokenizer(options.model, trust_remote_code=options.trust_remote_code)
    asked = resolve_template(config.template, tokenizer, [row for rows in sets.values() for row in rows])
    sets = without_overlap(sets, tokenizer, asked, drop=options.drop_overlap)
    template = resolve_template(config.template, tokenizer, [*sets["forget"], *sets["retain"]])
    settings = resolved(options, config)
    data = {role: describe_data(getattr(options, role), rows) for role, rows in sets.items()}
    own = describe_own(config)
    where: dict[str, Any] = {
        "overwrite": options.overwrite,
        "resume": options.resume,
        "inputs": inputs_of(options.model, options.forget, options.retain, options.holdout, config.idk_file),
    }
    output = user_path(options.output, "--output")
    model_files: dict[str, Any] = {}
    if is_first():
        check_output(options.output, **where)
        model_files = describe_model(options.model)
        if options.resume:
            rows_per_step = config.rows_per_step
            refuse_other_run(
                options.output, settings, data=data, model=model_files, rows_per_step=rows_per_step, own=own
            )
    if is_done(options.output, settings, resume=options.resume):
        return
    checkpoint = checkpoint_to_resume(options.output, resume=options.resume, with_best=config.load_best_model_at_end)
    model = load_model(options.model, dtype=options.dtype, trust_remote_code=options.trust_remote_code)
    check_savable(model, tokenizer)
    model, merged_base = prepared(model, options, output)

    def write_base() -> None:  # not before the manifest: a folder without one is nobody's
        if merged_base is not None and is_first():
            merged_base.write(tokenizer)

    trainer = UnlearnTrainer(
        model,
        config,
        sets["forget"],
        sets["retain"],
        holdout_dataset=sets.get("holdout"),
        processing_class=tokenizer,
        peft_config=peft_config,
        callbacks=[AtBegin(write_base)],
    )

    if is_first():
        prepare_output(options.output, **where)
    manifest: dict[str, Any] = {
        "command": ["ngdiff", "unlearn", *words],
        "config": settings,
        "data": data,
        "model": model_files,
        "template": template.name,
        "seed": config.seed,
        "own": own,
    }
    run_and_write(trainer, tokenizer, output, manifest, checkpoint=checkpoint)
    say(f"The model is in {options.output}; what it still knows:\n  {_evaluation(options, config)}\n")


def _evaluation(options: UnlearnOptions, config: UnlearnConfig) -> str:
    """The command that scores the model, on the sets of the run and read as the run read them."""
    given = {
        "model": options.output,
        "forget": options.forget,
        "retain": options.retain,
        "holdout": options.holdout,
        "dtype": None if options.dtype == ModelOptions.dtype else options.dtype,
        "template": None if config.template == "auto" else config.template,
        "max-length": config.max_length,
    }
    words = [word for name, value in given.items() if value is not None for word in (f"--{name}", str(value))]
    flags = {"--drop-overlap": options.drop_overlap, "--trust-remote-code": options.trust_remote_code}
    return shlex.join(["ngdiff", "evaluate", *words, *(flag for flag, on in flags.items() if on)])
