"""Options that several commands share."""

from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, fields
from enum import Enum
from typing import Any

from transformers import TrainingArguments

from ngdiff.cli.parsing import option
from ngdiff.data import Row, check_overlap, read_rows
from ngdiff.errors import InputError


@dataclass
class ModelOptions:
    """Which model, and how it is loaded."""

    model: str = option(help="model to start from: a folder or a hub name", value="DIR_OR_NAME")
    dtype: str = option(
        "float32",
        help="type of the weights: float32, bfloat16, or auto for that of the checkpoint",
        value="TYPE",
    )
    trust_remote_code: bool = option(False, help="run Python code that comes with the model")


@dataclass
class SetOptions:
    """Which rows to forget, to keep and to compare with."""

    forget: str = option(help="rows to forget: json, jsonl, csv, parquet, folder or hub name, [:SPLIT]", value="FILE")
    retain: str = option(help="rows to keep, in the same forms", value="FILE")
    holdout: str | None = option(None, help="rows the model has never seen, in the same forms", value="FILE")
    drop_overlap: bool = option(False, help="leave rows that stand in both sets out of the retain set")


@dataclass
class OutputOptions:
    """Where results go."""

    output: str = option(help="folder for the results", value="DIR")
    overwrite: bool = option(False, help="replace what an earlier run wrote there")
    resume: bool = option(False, help="go on from the last checkpoint there")


@dataclass
class LoraOptions:
    """An adapter instead of all weights."""

    lora_rank: int = option(0, help="train a LoRA adapter of this rank instead of all weights; 0: all weights")
    lora_alpha: int | None = option(None, help="scale of the adapter (twice the rank)")
    lora_target_modules: list[str] | None = option(  # noqa: RUF009 - `option` is a `dataclasses.field`
        None, help="names of the layers that get an adapter (all linear layers)"
    )

    def peft_config(self) -> Any:
        """The `LoraConfig`, or None where all weights are trained.

        Raises:
            InputError: a negative rank.
        """
        if self.lora_rank < 0:
            raise InputError(f"--lora-rank {self.lora_rank} is not 0 or more")
        if self.lora_rank == 0:
            return None
        from peft import LoraConfig

        return LoraConfig(
            r=self.lora_rank,
            lora_alpha=self.lora_alpha or 2 * self.lora_rank,
            target_modules=self.lora_target_modules or "all-linear",
            task_type="CAUSAL_LM",
        )


def read_sets(options: SetOptions) -> dict[str, list[Row]]:
    """Rows of forget, retain and, where given, holdout; checked against each other.

    Raises:
        InputError: a set that cannot be read, or rows that stand in both sets.
    """
    sets = {
        "forget": read_rows(options.forget, role="--forget"),
        "retain": read_rows(options.retain, role="--retain"),
    }
    sets["retain"], _ = check_overlap(sets["forget"], sets["retain"], drop=options.drop_overlap)
    if options.holdout is not None:
        sets["holdout"] = read_rows(options.holdout, role="--holdout")
    return sets


def resolved(*parts: Any, **more: Any) -> dict[str, Any]:
    """All options of ours and those inherited ones that differ from their default, under the names users type.

    Args:
        parts: Instances of the dataclasses.
        more: Values that replace those of the instances.
    """
    config: dict[str, Any] = {}
    for part in parts:
        values = part.to_dict() if isinstance(part, TrainingArguments) else asdict(part)
        defaults = {f.name: f.default for f in fields(TrainingArguments) if f.default is not MISSING}
        ours = isinstance(part, TrainingArguments) and set(vars(type(part)).get("__annotations__", {}))
        for name, value in values.items():
            if name == "output_dir" or name not in {f.name for f in fields(part) if f.init}:
                continue
            if ours is False or name in ours or value != _plain(defaults.get(name)):
                config[name] = value
    return {**config, **more}


def _plain(value: Any) -> Any:
    return value.value if isinstance(value, Enum) else value


def differing(now: Mapping[str, Any], before: Mapping[str, Any], names: tuple[str, ...]) -> list[str]:
    """Those of the named options whose values differ."""
    return [name for name in names if now.get(name) != before.get(name)]
