"""`ngdiff unlearn`."""

import logging
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from ngdiff.cli.options import (
    LoraOptions,
    ModelOptions,
    OutputOptions,
    SetOptions,
    differing,
    read_sets,
    resolved,
)
from ngdiff.cli.parsing import CommandParser
from ngdiff.data import resolve_template
from ngdiff.errors import InputError
from ngdiff.files import prepare_output, write_json
from ngdiff.manifest import CONFIG, describe_data, describe_model, write_manifest
from ngdiff.modeling import load_model, load_tokenizer, save_model
from ngdiff.report import plot_curves
from ngdiff.training import UnlearnConfig, UnlearnTrainer
from ngdiff.training.checkpoint import last_checkpoint

logger = logging.getLogger("ngdiff")

# Options that decide where a run goes: a resumed run must not change them.
_TRAJECTORY = (
    *("model", "dtype", "forget", "retain", "drop_overlap", "template", "max_length", "seed"),
    *("method", "c", "forget_objective", "retain_objective", "forget_ceiling", "learning_rate", "optim"),
    *("per_device_train_batch_size", "gradient_accumulation_steps", "lora_rank", "lora_alpha"),
)


@dataclass
class UnlearnOptions(ModelOptions, SetOptions, OutputOptions, LoraOptions):
    """Everything that is not an argument of the trainer."""


PARSER = CommandParser(
    "unlearn",
    "Make a model forget one set of rows and keep another. The learning rate is found from the retain loss; "
    "nothing needs tuning.",
    {
        "model": ModelOptions,
        "data": SetOptions,
        "output": OutputOptions,
        "adapter": LoraOptions,
        "method and training": UnlearnConfig,
    },
    required=("model", "forget", "retain", "output"),
)


def run(words: list[str]) -> None:
    """Run the command.

    Raises:
        InputError: options, rows or model that cannot be used; before any long work.
    """
    values = PARSER.parse(words)
    if values is None:
        return
    options: UnlearnOptions = PARSER.build(UnlearnOptions, values)
    config: UnlearnConfig = PARSER.build(UnlearnConfig, values, output_dir=str(Path(options.output).expanduser()))
    peft_config = options.peft_config()
    sets = read_sets(options)
    tokenizer = load_tokenizer(options.model, trust_remote_code=options.trust_remote_code)
    template = resolve_template(config.template, tokenizer, [*sets["forget"], *sets["retain"]])
    settings = resolved(options, config, learning_rate=config.learning_rate_option)
    if options.resume:
        _refuse_other_settings(options.output, settings)
    output = prepare_output(
        options.output,
        overwrite=options.overwrite,
        resume=options.resume,
        inputs=[options.model, options.forget, options.retain],
    )
    checkpoint = last_checkpoint(output) if options.resume else None
    if options.resume and checkpoint is None:
        raise InputError(f"--resume: {options.output} holds no checkpoint that was written to its end")
    model = load_model(options.model, dtype=options.dtype, trust_remote_code=options.trust_remote_code)
    trainer = UnlearnTrainer(
        model,
        config,
        sets["forget"],
        sets["retain"],
        holdout_dataset=sets.get("holdout"),
        processing_class=tokenizer,
        peft_config=peft_config,
    )

    def write_run_manifest(extra: dict[str, Any]) -> None:
        write_manifest(
            output,
            command=["ngdiff", "unlearn", *words],
            config=settings,
            data={role: describe_data(getattr(options, role), rows) for role, rows in sets.items()},
            model=describe_model(options.model),
            template=template.name,
            seed=config.seed,
            extra=extra,
        )

    write_run_manifest({"finished": False})
    trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    save_model(trainer.accelerator.unwrap_model(trainer.model), tokenizer, output)
    before = trainer.run_state.initial_losses
    after = {
        "forget": trainer.mean_loss(trainer.forget_dataset),
        "retain": trainer.mean_loss(trainer.retain_dataset, rows=len(trainer.forget_dataset)),
    }
    write_json(output / "training_log.json", {"steps": trainer.state.log_history, "probes": trainer.run_state.probes})
    plot_curves(trainer.state.log_history, output / "curves.png", forget_ceiling=trainer.ceiling)
    write_run_manifest({"finished": True, "losses_before": before, "losses_after": after})
    for role, loss in after.items():
        sys.stdout.write(f"{role} loss: {before[role]:.4f} before, {loss:.4f} after\n")
    sys.stdout.write(
        f"The model is in {options.output}; what it still knows: ngdiff evaluate --model {options.output}\n"
    )


def _refuse_other_settings(output: str, settings: dict[str, Any]) -> None:
    """A resumed run goes on as it began."""
    path = Path(output).expanduser() / CONFIG
    if not path.is_file():
        raise InputError(f"--resume: {output} holds no {CONFIG} of an earlier run")
    before = yaml.safe_load(path.read_text(encoding="utf-8"))
    changed = differing(settings, before, _TRAJECTORY)
    if changed:
        name = changed[0]
        raise InputError(
            f"--resume: the run in {output} has {name} = {before.get(name)}, not {settings.get(name)}; give the "
            "same options, or another --output"
        )
