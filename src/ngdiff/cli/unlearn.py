"""`ngdiff unlearn`."""

import json
import sys
from collections.abc import Mapping
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
from ngdiff.files import check_output, prepare_output, write_json
from ngdiff.manifest import CONFIG, MANIFEST, describe_data, describe_model, write_manifest
from ngdiff.modeling import load_model, load_tokenizer, save_model
from ngdiff.report import plot_curves
from ngdiff.training import UnlearnConfig, UnlearnTrainer
from ngdiff.training.checkpoint import last_checkpoint

# Options that a resumed run may change. All others decide where it goes; files are compared by what they hold.
_MAY_CHANGE = (
    *("output", "model", "forget", "retain", "holdout", "drop_overlap", "trust_remote_code"),
    *("num_train_epochs", "max_steps", "disable_tqdm", "report_to", "run_name", "project"),
    *("logging_strategy", "logging_steps", "logging_first_step", "logging_nan_inf_filter", "log_level"),
    *("save_strategy", "save_steps", "save_total_limit"),
    *("eval_strategy", "do_eval", "eval_steps", "eval_delay", "eval_on_start", "per_device_eval_batch_size"),
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
    settings = resolved(options, config)
    data = {role: describe_data(getattr(options, role), rows) for role, rows in sets.items()}
    where: dict[str, Any] = {
        "overwrite": options.overwrite,
        "resume": options.resume,
        "inputs": [options.model, options.forget, options.retain],
    }
    output = check_output(options.output, **where)
    model_files = describe_model(options.model)
    if options.resume:
        _refuse_other_run(options.output, settings, {"model": _content(model_files)} | _contents(data))
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
            data=data,
            model=model_files,
            template=template.name,
            seed=config.seed,
            extra=extra,
        )

    prepare_output(options.output, **where)
    write_run_manifest({"finished": False})
    trainer.train(resume_from_checkpoint=None if checkpoint is None else str(checkpoint))
    save_model(trainer.accelerator.unwrap_model(trainer.model), tokenizer, output)
    before = trainer.run_state.initial_losses
    after = {
        "forget": trainer.mean_loss(trainer.forget_dataset),
        "retain": trainer.mean_loss(trainer.retain_dataset, rows=len(trainer.forget_dataset)),
    }
    write_json(output / "training_log.json", {"steps": trainer.state.log_history, "probes": trainer.run_state.probes})
    if any("loss_forget" in row for row in trainer.state.log_history):  # there are none with --logging-strategy no
        plot_curves(trainer.state.log_history, output / "curves.png", forget_ceiling=trainer.ceiling)
    write_run_manifest({"finished": True, "losses_before": before, "losses_after": after})
    for role, loss in after.items():
        sys.stdout.write(f"{role} loss: {before[role]:.4f} before, {loss:.4f} after\n")
    sys.stdout.write(
        f"The model is in {options.output}; what it still knows: ngdiff evaluate --model {options.output}\n"
    )


def _refuse_other_run(output: str, settings: Mapping[str, Any], contents: Mapping[str, Any]) -> None:
    """A resumed run goes on as it began: with the same options, rows and model."""
    folder = Path(output).expanduser()
    for name in (CONFIG, MANIFEST):
        if not (folder / name).is_file():
            raise InputError(f"--resume: {output} holds no {name} of an earlier run")
    before = yaml.safe_load((folder / CONFIG).read_text(encoding="utf-8"))
    for name in differing(settings, before, tuple(sorted({*settings, *before} - {*_MAY_CHANGE}))):
        raise InputError(
            f"--resume: the run in {output} has {name} = {before.get(name)}, not {settings.get(name)}; give the "
            "same options, or another --output"
        )
    manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    contents_before = {"model": _content(manifest["model"])} | _contents(manifest["data"])
    for name in differing(contents, contents_before, ("model", "forget", "retain", "holdout")):
        raise InputError(
            f"--resume: --{name} does not hold what it held when the run in {output} began; give the same, or "
            "another --output"
        )


def _contents(data: Mapping[str, Mapping[str, Any]]) -> dict[str, Any]:
    return {role: described["rows_sha256"] for role, described in data.items()}


def _content(model: Mapping[str, Any]) -> Any:
    """Hashes of a model's files; its name where it comes from the hub."""
    return model.get("files") or model["source"]
