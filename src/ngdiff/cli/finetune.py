"""`ngdiff finetune`."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

from transformers import PreTrainedModel, PreTrainedTokenizerBase

from ngdiff.cli import finetune_images
from ngdiff.cli.adapters import check_adapter_options, prepared
from ngdiff.cli.at_begin import AtBegin
from ngdiff.cli.inputs import inputs_of
from ngdiff.cli.options import LoraOptions, ModelOptions, OutputOptions, resolved
from ngdiff.cli.parsing import CommandParser, option
from ngdiff.cli.processes import is_first, say, wait_for_all
from ngdiff.cli.resume import checkpoint_to_resume, is_done, refuse_other_run
from ngdiff.cli.ruined import RUINED, in_ruined, ruined_error
from ngdiff.cli.signals import SIGNALS
from ngdiff.cli.task import TaskOptions, task_of
from ngdiff.data import read_rows, resolve_template
from ngdiff.errors import InputError
from ngdiff.files import check_output, prepare_output, sha256_file
from ngdiff.manifest import describe_data, describe_model, write_manifest
from ngdiff.modeling import (
    SHAPES,
    add_adapter,
    build_model,
    check_savable,
    is_shape,
    load_model,
    load_tokenizer,
    save_model,
    train_tokenizer,
)
from ngdiff.paths import user_path
from ngdiff.training.finetune import FinetuneConfig, finetune


@dataclass
class TrainOptions:
    """What to train on, and with which tokenizer."""

    train: str = option(help="rows to learn: json, jsonl, csv, parquet, folder or hub name, [:SPLIT]", value="FILE")
    tokenizer: str | None = option(
        None,
        help="with a shape: folder or hub name of a tokenizer (one is trained on the rows)",
        value="DIR_OR_NAME",
    )
    vocab_size: int = option(4096, help="with a shape: tokens of the tokenizer that is trained, at most")


@dataclass
class FinetuneOptions(TaskOptions, ModelOptions, TrainOptions, OutputOptions, LoraOptions):
    """Everything that is not an argument of the trainer."""


PARSER = CommandParser(
    "finetune",
    "Train a model on rows until it recites them: the target of an unlearning run, or the reference that never saw "
    f"the forget set. --model may be a shape with random weights ({', '.join(SHAPES)}) or a config.json.",
    {
        "task": TaskOptions,
        "model": ModelOptions,
        "data": TrainOptions,
        "output": OutputOptions,
        "adapter": LoraOptions,
        "training": FinetuneConfig,
    },
    required=("model", "train", "output"),
)


def run(words: list[str]) -> None:
    """Run the command.

    Raises:
        InputError: options, rows or model that cannot be used; before any long work.
    """
    if task_of(words) == "image":
        finetune_images.run(words)
        return
    values = PARSER.parse(words)
    if values is None:
        return
    options: FinetuneOptions = PARSER.build(FinetuneOptions, values)
    folder = str(user_path(options.output, "--output"))
    config: FinetuneConfig = PARSER.build(FinetuneConfig, values, output_dir=folder)
    peft_config = options.peft_config()
    fresh = is_shape(options.model)
    check_adapter_options(options.model, options)
    if fresh and peft_config is not None:
        raise InputError(
            f"--lora-rank {options.lora_rank} with --model {options.model}: an adapter is of no use without its "
            "base, and the random weights of a shape are not kept; train all weights, or an adapter of a trained model"
        )
    rows = read_rows(options.train, role="--train")
    if not fresh and options.tokenizer is not None:
        raise InputError(f"--tokenizer is for shapes with random weights; {options.model} has its own")
    tokenizer: PreTrainedTokenizerBase
    if fresh and options.tokenizer is None:
        texts = [text for row in rows for text in (row.prompt, row.answer)]
        tokenizer = train_tokenizer(texts, vocab_size=options.vocab_size)
    else:
        tokenizer = load_tokenizer(options.tokenizer or options.model, trust_remote_code=options.trust_remote_code)
    template = resolve_template(config.template, tokenizer, rows)
    where: dict[str, Any] = {
        "overwrite": options.overwrite,
        "resume": options.resume,
        "inputs": inputs_of(options.model, options.train, options.tokenizer),
    }
    output = user_path(options.output, "--output")
    settings = resolved(options, config)
    data = {"train": describe_data(options.train, rows)}
    model_files: dict[str, Any] = {}
    if is_first():
        check_output(options.output, **where)
        model_files = _describe_shape(options) if fresh else describe_model(options.model)
        if options.resume:
            refuse_other_run(options.output, settings, data=data, model=model_files)
    if is_done(options.output, settings, resume=options.resume):
        return
    checkpoint = checkpoint_to_resume(options.output, resume=options.resume, with_best=config.load_best_model_at_end)
    model: PreTrainedModel  # or a PEFT model around one
    if fresh:
        model = build_model(options.model, tokenizer, seed=config.seed)
    else:
        model = cast(
            PreTrainedModel, load_model(options.model, dtype=options.dtype, trust_remote_code=options.trust_remote_code)
        )
    check_savable(model, tokenizer)
    model, merged_base = prepared(model, options, output)
    if peft_config is not None:
        model = cast(PreTrainedModel, add_adapter(model, peft_config, seed=config.seed))

    manifest: dict[str, Any] = {
        "command": ["ngdiff", "finetune", *words],
        "config": settings,
        "data": data,
        "model": model_files,
        "template": template.name,
        "seed": config.seed,
    }

    def begin() -> None:
        if is_first():
            prepare_output(options.output, **where)
        SIGNALS.resumable = not config.save_only_model
        if is_first():
            write_manifest(output, **manifest, extra={"finished": False})
            if merged_base is not None:
                merged_base.write(tokenizer)
        wait_for_all()

    result = finetune(
        model,
        tokenizer,
        rows,
        template,
        config,
        callbacks=[AtBegin(begin)],
        resume=checkpoint or False,
        stop_request=SIGNALS.request,
    )
    if is_first():
        ruined = result.outcome.ruined
        files = save_model(model, tokenizer, output / RUINED if ruined else output)
        files = in_ruined(files) if ruined else files
        extra = {"finished": True, **({"ruined": ruined, "model": RUINED} if ruined else {})}
        write_manifest(output, **manifest, extra=extra, outputs=files)
    if result.outcome.ruined:
        raise ruined_error(output, result.outcome, "--max-loss")
    say(f"training loss {result.loss:.4f} after {result.epochs:g} epochs; the model is in {options.output}\n")


def _describe_shape(options: FinetuneOptions) -> dict[str, Any]:
    """Name of the shape, hash of its file, and the tokenizer where one was given (else the rows made it)."""
    described: dict[str, Any] = {"shape": options.model}
    if Path(options.model).is_file():
        described["sha256"] = sha256_file(options.model)
    if options.tokenizer is not None:
        tokenizer = describe_model(options.tokenizer)
        if "files" in tokenizer:  # it may lie beside a model, whose weights are no part of it
            files = tokenizer["files"]
            tokenizer["files"] = {name: files[name] for name in files if not name.endswith(".safetensors")}
        described["tokenizer"] = tokenizer
    return described
