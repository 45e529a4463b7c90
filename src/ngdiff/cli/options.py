"""Options that several commands share."""

import logging
from dataclasses import MISSING, Field, asdict, dataclass, fields
from enum import Enum
from typing import Any, cast

from ngdiff.cli.own_answers import AUTO
from ngdiff.cli.parsing import option, own_fields
from ngdiff.cli.reading import SetReadOptions
from ngdiff.data import Row
from ngdiff.errors import InputError
from ngdiff.modeling import is_shape
from ngdiff.modeling.folders import check_model, check_tokenizer, local_folder
from ngdiff.modeling.gguf_files import gguf_file
from ngdiff.option import dashed
from ngdiff.ranges import COUNT, Range

logger = logging.getLogger(__name__)

_RANK = Range(0, 65_536)


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
class RowSets(SetReadOptions):
    """Which rows to forget, to keep and to compare with."""

    forget: str = option(
        help="rows to forget: json, jsonl, csv, parquet, txt, md, folder or hub name, [:SPLIT], or a pattern with *",
        value="FILE",
    )
    retain: str = option(
        help="rows to keep, in the same forms; none at hand? ngdiff unlearn takes auto: the model's own answers to "
        "general questions",
        value="FILE",
    )
    holdout: str | None = option(
        None,
        help="rows the model has never seen, in the same forms; none at hand? ngdiff unlearn takes auto: questions "
        "about people who do not exist (none: it makes up none)",
        value="FILE",
    )


@dataclass
class SetOptions(RowSets):
    """The same, and the treatment of rows in two sets."""

    drop_overlap: bool = option(
        False, help="leave rows of the forget set out of the others, of the retain set out of the holdout"
    )


@dataclass
class ProtectOptions:
    """Which rows a run is not to change, beside those to keep."""

    protect: str | None = option(
        None,
        help="rows in neither set, of any kind, for which the unlearned model is to predict what the model before "
        "does; in the same forms; ngdiff unlearn takes auto: the model's own answers to general questions, which "
        "it takes by itself for a chat model where no method is chosen (none: it does not)",
        value="FILE",
    )
    protect_columns: str | None = option(None, help="--columns of --protect alone", value="OURS=COLUMN,...")


@dataclass
class OutputOptions:
    """Where results go."""

    output: str = option(help="folder for the results", value="DIR")
    overwrite: bool = option(False, help="replace what an earlier run wrote there")
    resume: bool = option(False, help="continue from the last checkpoint there")


@dataclass
class TrainingOutputOptions(OutputOptions):
    """Where a training run writes, and which files it keeps."""

    keep_checkpoints: bool = option(
        False,
        help="keep the checkpoints of a run that is done, so that it can go further with --resume; a ruined one's stay",
    )


@dataclass
class LoraOptions:
    """An adapter instead of all weights."""

    lora_rank: int = option(
        0, help="train a LoRA adapter of this rank instead of all weights; 0: all weights", accepted=_RANK
    )
    lora_alpha: int | None = option(None, help="scale of the adapter (twice the rank)", accepted=COUNT)
    lora_target_modules: list[str] | None = option(  # noqa: RUF009 - `option` is a `dataclasses.field`
        None, help="names of the layers that get an adapter (all linear layers)"
    )
    merge_adapter: bool = option(
        False, help="where --model is an adapter: merge it into its base model first, then train that"
    )

    def check_adapter(self) -> None:
        """Refuse options that make no valid adapter.

        Raises:
            InputError: a rank or a scale out of range, or what only an adapter has, without a rank.
        """
        _RANK.check(self.lora_rank, "--lora-rank")
        if self.lora_alpha is not None:
            COUNT.check(self.lora_alpha, "--lora-alpha")
        if self.lora_rank == 0:
            given = {"--lora-alpha": self.lora_alpha, "--lora-target-modules": self.lora_target_modules}
            if idle := next((name for name, value in given.items() if value is not None), None):
                raise InputError(f"{idle} changes nothing without --lora-rank: no new adapter is made")

    def peft_config(self) -> Any:
        """The `LoraConfig`, or None where all weights are trained.

        Raises:
            InputError: as `check_adapter`.
        """
        self.check_adapter()
        if self.lora_rank == 0:
            return None
        from peft import LoraConfig

        return LoraConfig(
            r=self.lora_rank,
            lora_alpha=self.lora_alpha or 2 * self.lora_rank,
            target_modules=self.lora_target_modules or "all-linear",
            task_type="CAUSAL_LM",
        )


def check_places(model: str, *, tokenizer: str | None, **others: str | None) -> None:
    """Refuse what is not there, where no weights are needed, before rows are read.

    Args:
        model: Folder, hub name or shape.
        tokenizer: Folder or hub name of a tokenizer; None where none was given.
        others: Further models, by name of their option; None where none was given.

    Raises:
        InputError: names the folder.
    """
    if tokenizer is not None:
        check_tokenizer(tokenizer, "--tokenizer")
    for called, name in (("Model", model), *((dashed(role), name) for role, name in others.items())):
        if name is not None and not is_shape(name) and gguf_file(name) is None:
            local_folder(name, called)


def check_models(model: str, **others: str | None) -> None:
    """Refuse models that are not there or lack weights or tokenizer, before rows are read.

    Args:
        model: Folder or hub name.
        others: Further models, by name of their option; None where none was given.

    Raises:
        InputError: names the folder.
    """
    for called, name in (("Model", model), *((dashed(role), name) for role, name in others.items())):
        if name is not None:
            check_model(name, called)


def read_sets(options: RowSets) -> dict[str, list[Row]]:
    """Rows of forget, retain, holdout and protect, where given.

    They are not yet checked against each other (`ngdiff.cli.overlap`).

    Raises:
        InputError: a set that cannot be read, or an option by which none was.
    """
    given = {name: getattr(options, name, None) for name in ("forget", "retain", "holdout", "protect")}
    options.check_reading()
    sets = {name: options.read(name, source) for name, source in given.items() if source is not None}
    options.check_used({name: rows for name, rows in sets.items() if given[name] != AUTO})
    return sets


# Options of a single call: a config that is used again must not delete or continue the files of another run.
_OF_THE_CALL = ("output_dir", "overwrite", "resume", "dry_run", "push_to_hub", "hub_model_id", "hub_private_repo")


def resolved(*parts: Any, **more: Any) -> dict[str, Any]:
    """All options of ngdiff, and the inherited ones that differ from their default, as given, under their typed names.

    `--config` reads the same values from it: None is written as `none` where the default is something else, as a null
    in a config file means that an option was not given.

    Args:
        parts: Instances of the dataclasses.
        more: Values that replace those of the instances.
    """
    config: dict[str, Any] = {}
    for part in parts:
        own = own_fields(type(part))
        training = hasattr(part, "given")  # arguments of a trainer, before it filled them in
        values = cast(Any, part).given if training else asdict(part)
        for field in fields(part):
            if not field.init or field.name in _OF_THE_CALL or field.name not in values:
                continue
            value = values[field.name]
            if training and field.name not in own and value == _default(field):
                continue
            config[field.name] = "none" if value is None and field.default is not None else value
    return {**config, **more}


def _default(field: "Field[Any]") -> Any:
    default = field.default_factory() if field.default_factory is not MISSING else field.default
    return default.value if isinstance(default, Enum) else default
