"""The text of `--help`, which shows what most runs need, and of `--help-all`, which shows all options by topic."""

import dataclasses
import textwrap
from collections.abc import Iterator
from enum import Enum
from typing import TYPE_CHECKING, Any

from ngdiff.option import dashed

if TYPE_CHECKING:
    from ngdiff.cli.parsing import CommandParser

WIDTH = 100
_COLUMN = 32

# Inherited options that most runs touch: among our own, with a line of our own.
OFTEN_USED = {
    "per_device_train_batch_size": "rows of a step on one device (unlearn: of each side)",
    "gradient_accumulation_steps": "micro-batches of a step",
    "max_steps": "steps, instead of passes; -1: passes count",
    "seed": "seed of everything that is drawn",
    "optim": "optimizer: adamw_torch_fused, adamw_torch, sgd, ...",
    "bf16": "compute in bfloat16, with weights in float32",
    "activation_checkpointing": "recompute activations: less memory, more time",
    "eval_strategy": "when to log the loss of all rows: no, epoch, steps",
    "save_total_limit": "checkpoints that are kept",
    "report_to": "trackers: none, wandb, tensorboard, ...",
}
# The other inherited ones: topic -> how their names begin. The first topic that fits has it.
TOPICS: dict[str, tuple[str, ...]] = {
    "optimizer and schedule": ("adam_", "optim_args", "lr_", "warmup", "weight_decay", "max_grad", "neftune", "label"),
    "precision, memory and speed": ("tf32", "torch_", "activation_", "gradient_", "use_cpu", "full_determinism"),
    "logs and trackers": ("log", "disable_tqdm", "run_name", "project", "trackio_", "include_num", "skip_memory"),
    "checkpoints": ("save_steps", "save_only", "restore_", "load_best", "metric_for", "greater_is"),
    "losses during the run": ("eval_steps", "eval_delay", "eval_on", "per_device_eval"),
    "order and loading of rows": ("data_seed", "dataloader_", "train_sampling", "remove_unused"),
    "several processes": ("ddp_", "fsdp"),
}
_REST = "refused, with the reason, or without effect (docs/options.md)"
# How a converter is shown where the field names no placeholder.
_PLACEHOLDERS = {"int": "N", "float": "NUMBER", "string_to_bool": "", "str": "TEXT"}


def help_text(parser: "CommandParser", *, everything: bool) -> str:
    """The text of `--help`, or of `--help-all` where `everything` is asked for."""
    taken = f" {parser.words.upper()}..." if parser.words else ""
    lines = [f"usage: ngdiff {parser.command} [options]{taken}", "", *textwrap.wrap(parser.summary, WIDTH), ""]
    config = entry("--config FILE", "YAML file with these options; the command line wins")
    if parser.short and not everything:
        fields = {field.name: field for kind in parser.groups.values() for field in dataclasses.fields(kind)}
        lines += ["example:", *(f"  {line}" for line in parser.example.splitlines()), "", "options:"]
        lines += [line for name in parser.short for line in _help_of(parser, fields[name])]
        return "\n".join([*lines, *config, *entry("--help-all", "all options, by topic")]) + "\n"
    inherited: list[Any] = []
    for title, kind in parser.groups.items():
        lines.append(f"{title}:")
        for field in _own(parser, kind, inherited):
            lines += _help_of(parser, field)
        lines.append("")
    lines += ["other:", *config]
    if inherited:
        lines += ["", "inherited from transformers.TrainingArguments, whose documentation explains them"]
        for topic, fields_of_topic in _by_topic(inherited, parser.command):
            lines += ["", f"{topic}:", *(line for field in fields_of_topic for line in _help_of(parser, field))]
    return "\n".join(lines) + "\n"


def _own(parser: "CommandParser", kind: type, inherited: list[Any]) -> list[Any]:
    """The fields of a group, those of ours first; inherited ones that few runs need go to `inherited`."""
    theirs, ours = parser.inherited_by(kind), parser.own_of(kind)
    shown = [field for field in dataclasses.fields(kind) if field.init and field.name not in parser.hidden_of(kind)]
    usual = {*ours, *OFTEN_USED} - _refused(parser.command)
    rare = [field for field in shown if field.name in theirs and field.name not in usual]
    inherited += rare
    return sorted((field for field in shown if field not in rare), key=lambda field: field.name in theirs)


def _refused(command: str) -> set[str]:
    """Names of the inherited options that a command does not take."""
    from ngdiff.training.inherited_options import INHERITED

    return {name for run, table in INHERITED.items() if run == command for name in table.refused}


def _by_topic(fields: list[Any], command: str) -> Iterator[tuple[str, list[Any]]]:
    refused = _refused(command)
    fields = sorted(fields, key=lambda field: field.name)
    left = [field for field in fields if field.name not in refused]
    for topic, beginnings in TOPICS.items():
        own = [field for field in left if field.name.startswith(beginnings)]
        left = [field for field in left if field not in own]
        if own:
            yield topic, own
    if rest := [field for field in fields if field in left or field.name in refused]:
        yield _REST, rest


def _help_of(parser: "CommandParser", field: Any) -> list[str]:
    name = dashed(field.name)
    value = field.metadata.get("metavar") or _PLACEHOLDERS.get(parser.converter_of(field.name), "TEXT")
    text = OFTEN_USED.get(field.name) or field.metadata.get("help", "").replace("%%", "%")
    default = field.default if field.default is not dataclasses.MISSING else None
    if field.name in parser.required:
        text += " (required)"
    elif default is not None and default is not False:
        shown = default.value if isinstance(default, Enum) else default
        text += f" (default: {f'{shown:g}' if isinstance(shown, float) else str(shown).lower()})"
        text += f"; off: --no-{name[2:]}" if parser.can_be_switched_off(field.name) else ""
    if also := parser.aliases_of(field.name):
        text += f"; also {', '.join(also)}"
    return entry(f"{name} {value}".rstrip(), text)


def entry(head: str, text: str) -> list[str]:
    """The lines of one option."""
    wrapped = textwrap.wrap(text, WIDTH - _COLUMN, break_on_hyphens=False) or [""]  # options can be copied
    if len(head) > _COLUMN - 4:
        return [f"  {head}", *(" " * _COLUMN + line for line in wrapped)]
    return [f"  {head:<{_COLUMN - 2}}{wrapped[0]}", *(" " * _COLUMN + line for line in wrapped[1:])]
