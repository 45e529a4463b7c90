"""`ngdiff unlearn` of language models: what it reads, loads and trains."""

import logging
import shlex
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ngdiff.cli import holdout_auto
from ngdiff.cli.adapters import check_adapter_options, prepared
from ngdiff.cli.dry_run import DryRunOptions, dry_run
from ngdiff.cli.earlier import AfterOptions, EarlierRequests
from ngdiff.cli.implied_sets import check_how_far, holdout_is_implied, protect_is_implied
from ngdiff.cli.inputs import described_model, inputs_of
from ngdiff.cli.option_words import words_for
from ngdiff.cli.options import (
    LoraOptions,
    ProtectOptions,
    SetOptions,
    TrainingOutputOptions,
    check_models,
    check_places,
    read_sets,
)
from ngdiff.cli.overlap import without_overlap
from ngdiff.cli.own_answers import (
    AUTO,
    FILES,
    MADE_FORM,
    SOURCE,
    as_extra,
    kept_rows,
    made_rows,
    question_rows,
    roles_of,
    why_one_process,
    write_made,
)
from ngdiff.cli.parsing import CommandParser, option
from ngdiff.cli.processes import is_first, process_count
from ngdiff.cli.require import RequireOptions
from ngdiff.cli.resume import run_in
from ngdiff.cli.start_checks import StartCheckOptions, check_at_start
from ngdiff.cli.task_option import TaskOptions
from ngdiff.cli.text_model import TextModelOptions
from ngdiff.cli.trainer_arguments import TrainerArguments
from ngdiff.cli.upload import HubOptions
from ngdiff.cli.values import NONE
from ngdiff.data import Row, unseen_people
from ngdiff.errors import InputError
from ngdiff.file_names import PRIVATE
from ngdiff.manifest import describe_data
from ngdiff.paths import user_path
from ngdiff.tasks.text_options import TextOptions
from ngdiff.training.autolr_options import AutoLROptions
from ngdiff.training.gradient_options import GradientOptions
from ngdiff.training.unlearn_arguments import UnlearnArguments

if TYPE_CHECKING:
    from torch import nn

    from ngdiff.training import UnlearnConfig, UnlearnTrainer

logger = logging.getLogger(__name__)

_MADE = {**dict.fromkeys(FILES, SOURCE), "holdout": holdout_auto.SOURCE}  # sets that may be made, not read


@dataclass
class BaseModelOptions:
    """Inputs that show the outputs of a model that never saw the rows."""

    base_model: str | None = option(
        None,
        help="the model before fine-tuning, with the same tokens: forgetting ends where it stands, which never saw the "
        "rows",
        value="DIR_OR_NAME",
    )


@dataclass
class TextUnlearnOptions(
    TaskOptions,
    TextModelOptions,
    AfterOptions,
    BaseModelOptions,
    SetOptions,
    ProtectOptions,
    StartCheckOptions,
    TrainingOutputOptions,
    HubOptions,
    RequireOptions,
    LoraOptions,
    DryRunOptions,
):
    """Everything that is not an argument of the trainer."""

    def read(self, role: str, source: str) -> list[Row]:
        """As `ReadOptions.read`; the holdout may be made up."""
        return unseen_people() if (role, source) == ("holdout", AUTO) else super().read(role, source)

    @property
    def own_holdout(self) -> str | None:
        """The holdout, unless it is made up or there is none."""
        return None if self.holdout in (AUTO, NONE) else self.holdout

    def read_roles(self, sets: Iterable[str]) -> list[str]:
        """Those of the sets that are not a made-up holdout."""
        return [role for role in sets if role != "holdout" or self.holdout != AUTO]

    def read_from_files(self) -> "TextUnlearnOptions":
        """The same without sets that the model is to make, and without `--protect none` and `--holdout none`."""
        none = [role for role in ("holdout", "protect") if getattr(self, role) == NONE]
        without: dict[str, Any] = dict.fromkeys([*roles_of(self), *none])
        return replace(self, **without)


class TextUnlearning(TrainerArguments):
    """Rows of text and a causal language model; see `ngdiff.cli.tasks.Unlearning`."""

    parser = CommandParser(
        "unlearn",
        "Make a model forget one set of rows and keep another. The learning rate is found from the retain loss; "
        "nothing needs tuning.",
        {
            "task": TaskOptions,
            "model": TextModelOptions,
            "earlier requests": AfterOptions,
            "base model": BaseModelOptions,
            "data": SetOptions,
            "protected rows": ProtectOptions,
            "checks": StartCheckOptions,
            "output": TrainingOutputOptions,
            "upload": HubOptions,
            "requirements": RequireOptions,
            "adapter": LoraOptions,
            "estimate": DryRunOptions,
            "method and training": UnlearnArguments,
            "learning rate": AutoLROptions,
            "gradients": GradientOptions,
            "texts": TextOptions,
        },
        required=("model", "forget", "retain", "output"),
        made=("holdout", "protect"),
        short=(
            *("model", "forget", "retain", "output", "base_model", "holdout", "method", "num_train_epochs"),
            *("lora_rank", "dry_run", "resume", "task"),
        ),
        example="ngdiff unlearn --model my-model --forget forget.jsonl --retain retain.jsonl --output unlearned",
    )
    any_number_of_processes = True

    @classmethod
    def accepted(cls, values: Mapping[str, Any]) -> TextUnlearnOptions | None:
        """The options; None if only a dry run was requested."""
        options: TextUnlearnOptions = cls.parser.build(TextUnlearnOptions, values)
        check_adapter_options(options.model, options)
        if holdout_is_implied(values):
            options.holdout = AUTO
        check_how_far(values)
        if process_count() > 1 and not options.resume:  # a run that goes on has its rows
            for role in roles_of(options):
                raise InputError(why_one_process(role))
        if options.dry_run:
            check_places(options.model, tokenizer=options.tokenizer, base_model=options.base_model)
            dry_run(cls.parser, options, values)
            return None
        if options.tokenizer is not None:
            raise InputError(f"--tokenizer {options.tokenizer} is for --dry-run; a model to unlearn has its own")
        return options

    def __init__(self, options: TextUnlearnOptions, config: UnlearnArguments) -> None:
        self.options, self.config = options, config
        options.check_adapter()
        self.earlier = EarlierRequests(options.after)
        config.know(base_model=options.base_model is not None, holdout=options.holdout not in (None, NONE))
        self._made = roles_of(options)
        given = options.read_from_files()
        self.inputs = inputs_of(
            options.model, options.forget, given.retain, options.own_holdout, given.protect, config.idk_file
        )
        holdout_auto.check_ceiling(config.ceiling_form, options.holdout)
        self.extra: dict[str, Any] = {}
        self.own: dict[str, Any] = {}
        self._model: Any = None  # where it was loaded to make rows
        self.inputs += [] if options.base_model is None else inputs_of(options.base_model)
        self.inputs += [*self.earlier.sources, *([options.chat_template] if options.chat_template else [])]

    def open_inputs(self) -> None:
        """The rows of all sets, once the models are there."""
        check_models(self.options.model, base_model=self.options.base_model)
        self._rows = read_sets(self.options.read_from_files())

    def read(self) -> None:
        """Tokenizer and template; no row is left in two sets."""
        from ngdiff.modeling import check_same_tokens

        options, sets = self.options, self._rows
        self.companion = options.tokenizer_of(options.model)
        rows = [row for role in options.read_roles(sets) for row in sets[role]]
        rows += question_rows() if self._made else []
        self._template = options.template_for(self.config.template, self.companion, rows)
        if options.holdout == AUTO:
            fitting = holdout_auto.those_that_fit(
                sets["holdout"], self.companion, self._template, self.config.max_length
            )
            sets = {**sets, "holdout": fitting}
        sets = without_overlap(sets, self.companion, self._template, drop=options.drop_overlap)
        self.earlier.read(self._template.name, self.config.max_length)
        if "retain" in sets:
            sets["retain"] = self._without_earlier(sets["retain"], drop=options.drop_overlap)
        if options.base_model is not None:
            check_same_tokens(self.companion, options.base_model, trust_remote_code=options.trust_remote_code)
        self._sets = self._with_made_rows(sets)
        self.template, self.template_text = self._template.name, self._template.text
        self.data = {role: self._described(role, rows) for role, rows in self._sets.items()}
        for role in self._made:
            self.extra |= as_extra(role, self._sets[role])
        if options.holdout == AUTO:
            self.extra["holdout_auto"] = {"warning": holdout_auto.told(self._sets["holdout"])}
        self.model_files = described_model(options.model) | options.chat_file() if is_first() else {}
        if options.base_model is not None and is_first():
            self.model_files["base_model"] = described_model(options.base_model)
        self.extra |= check_at_start(options, {role: self._sets[role] for role in options.read_roles(self._sets)})

    def _described(self, role: str, rows: list[Row]) -> dict[str, Any]:
        """A set, for the manifest."""
        given = getattr(self.options, role)
        if given == AUTO and role in _MADE:
            return describe_data(None, rows) | {"source": _MADE[role]}
        return describe_data(given, rows, self.options.reading(role))

    def _without_earlier(self, rows: list[Row], *, drop: bool) -> list[Row]:
        return self.earlier.keep_apart(rows, drop=drop, tokenizer=self.companion, template=self._template)

    def _with_made_rows(self, sets: dict[str, list[Row]]) -> dict[str, list[Row]]:
        """The sets with those that the model makes, or made before the run was stopped."""
        made = {role: self._made_rows(role, sets["forget"]) for role in self._made}
        if self._protects_by_itself(sets["forget"]):
            try:
                made["protect"] = self._made_rows("protect", sets["forget"])
            except InputError as error:
                logger.warning("Rows in neither set are not protected: %s", error)
            else:
                self._made.append("protect")
                self.options.protect = AUTO
        found = {**sets, **made}
        return {name: found[name] for name in ("forget", "retain", "holdout", "protect") if name in found}

    def _protects_by_itself(self, forget: list[Row]) -> bool:
        """Whether the model is to make rows to protect that were not asked for."""
        values = self.config.given | {"retain": self.options.retain, "protect": self.options.protect}
        if not protect_is_implied(values, forget, self._template):
            return False
        if self.options.resume and (begun := run_in(self.options.output)) is not None:
            return begun[0].get("protect") == AUTO
        if process_count() > 1:
            logger.warning("Rows in neither set are not protected: %s", why_one_process("protect"))
        return process_count() == 1

    def _made_rows(self, role: str, forget: list[Row]) -> list[Row]:
        """One set that the model makes."""
        options = self.options
        made = kept_rows(role, user_path(options.output)) if options.resume else None
        if made is None:
            if process_count() > 1:
                raise InputError(why_one_process(role))
            from ngdiff.evaluation.processes import started_processes

            self._model = self._model or self._load().to(started_processes().device)
            made = made_rows(
                *(role, self._model, self.companion, self._template, forget), max_length=self.config.max_length
            )
        return self._without_earlier(made, drop=True) if role == "retain" else made

    def _load(self) -> Any:
        from ngdiff.modeling import load_model

        options = self.options
        return load_model(options.model, dtype=options.dtype, trust_remote_code=options.trust_remote_code)

    def trainer(self, output: Path, config: "UnlearnConfig") -> "UnlearnTrainer":
        """The model, loaded, in its trainer."""
        from ngdiff.cli.at_begin import AtBegin
        from ngdiff.modeling import check_savable
        from ngdiff.tasks import TextTask
        from ngdiff.training import UnlearnTrainer

        options, tokenizer = self.options, self.companion
        model = self._model or self._load()
        check_savable(model, tokenizer)
        model, merged_base = prepared(model, options, output)

        def write_base() -> None:  # not before the manifest: a folder without one is nobody's
            for role in self._made if is_first() else []:
                write_made(role, output, self._sets[role])
            if merged_base is not None and is_first():
                merged_base.write(tokenizer)

        return UnlearnTrainer(
            model,
            config,
            self._sets["forget"],
            self._sets["retain"],
            holdout_dataset=self._sets.get("holdout"),
            protect_dataset=self._sets.get("protect"),
            base_model=None if options.base_model is None else self._base_model,
            processing_class=tokenizer,
            peft_config=options.peft_config(),
            task=TextTask(model, tokenizer, config, template=self._template),
            callbacks=[AtBegin(write_base)],
        )

    def _base_model(self) -> "nn.Module":
        from ngdiff.modeling import load_model

        options = self.options
        base: nn.Module = load_model(
            str(options.base_model), dtype=options.dtype, trust_remote_code=options.trust_remote_code
        )
        return base

    def _columns_of_made(self, role: str) -> str | None:
        """The form of a made set, where other columns are asked for of all sets, or of this one."""
        asked = self.options.reading(role)
        return MADE_FORM if "columns" in asked else None

    def evaluation(self) -> str:
        """The command that scores the model, on the sets of the run and read as the run read them."""
        options, config = self.options, self.config
        given = {
            "model": options.output,
            "forget": options.forget,
            "retain": options.retain,
            "holdout": options.own_holdout,
            "protect": options.read_from_files().protect,
            **{role: f"{options.output}/{PRIVATE}/{FILES[role]}" for role in self._made},
            "protect-columns": options.protect_columns,
            **{name.replace("_", "-"): getattr(options, name) for name in SetOptions.of_reading()},
            **{f"{role}-columns": self._columns_of_made(role) for role in self._made},
            "dtype": None if options.dtype == TextModelOptions.dtype else options.dtype,
            "template": None if config.template == "auto" else config.template,
            "max-length": config.max_length,
        }
        flags = {"--drop-overlap": options.drop_overlap, "--trust-remote-code": options.trust_remote_code}
        return shlex.join(["ngdiff", "evaluate", *words_for(given), *(flag for flag, on in flags.items() if on)])
