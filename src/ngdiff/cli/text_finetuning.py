"""`ngdiff finetune` of language models: what it reads, loads and trains."""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from ngdiff.cli.adapters import check_adapter_options, prepared
from ngdiff.cli.inputs import described_model, described_shape, inputs_of
from ngdiff.cli.options import LoraOptions, TrainingOutputOptions, check_models, check_places
from ngdiff.cli.parsing import CommandParser, option
from ngdiff.cli.processes import is_first
from ngdiff.cli.reading import ReadOptions
from ngdiff.cli.task_option import TaskOptions
from ngdiff.cli.text_model import TextModelOptions
from ngdiff.errors import InputError
from ngdiff.manifest import describe_data, describe_model
from ngdiff.modeling import SHAPES, is_shape
from ngdiff.ranges import Range
from ngdiff.training.finetune_arguments import FinetuneArguments

if TYPE_CHECKING:
    from transformers import PreTrainedModel, PreTrainedTokenizerBase

    from ngdiff.training.finetune import FinetuneConfig, FinetuneResult


@dataclass
class TrainOptions(ReadOptions):
    """What to train on, and with which tokenizer."""

    train: str = option(
        help="rows to learn: json, jsonl, csv, parquet, txt, md, folder or hub name, [:SPLIT], or a pattern with *",
        value="FILE",
    )
    tokenizer: str | None = option(
        None,
        help="with a shape: folder or hub name of a tokenizer (one is trained on the rows)",
        value="DIR_OR_NAME",
    )
    vocab_size: int = option(
        4096,
        help="with a shape: tokens of the tokenizer that is trained on the rows, at most",
        accepted=Range(1, 10_000_000),
    )


@dataclass
class TextFinetuneOptions(TaskOptions, TextModelOptions, TrainOptions, TrainingOutputOptions, LoraOptions):
    """Everything that is not an argument of the trainer."""


class TextFinetuning:
    """Rows of text and a causal language model; see `ngdiff.cli.tasks.Finetuning`."""

    parser = CommandParser(
        "finetune",
        "Train a model on rows until it recites them: the target of an unlearning run, or the reference that never saw "
        f"the forget set. --model may be a shape with random weights ({', '.join(SHAPES)}) or a config.json.",
        {
            "task": TaskOptions,
            "model": TextModelOptions,
            "data": TrainOptions,
            "output": TrainingOutputOptions,
            "adapter": LoraOptions,
            "training": FinetuneArguments,
        },
        required=("model", "train", "output"),
        short=(
            *("model", "train", "output", "learning_rate", "num_train_epochs", "per_device_train_batch_size"),
            *("lora_rank", "seed", "resume", "task"),
        ),
        example="ngdiff finetune --model llama-tiny --train rows.jsonl --output my-model",
    )

    @classmethod
    def accepted(cls, values: Mapping[str, Any]) -> TextFinetuneOptions:
        """The options."""
        options: TextFinetuneOptions = cls.parser.build(TextFinetuneOptions, values)
        return options

    @classmethod
    def arguments(cls, values: Mapping[str, Any], output: Path) -> FinetuneArguments:
        """The arguments of the trainer, checked without torch."""
        arguments: FinetuneArguments = cls.parser.checked(FinetuneArguments, values, output_dir=str(output))
        return arguments

    @classmethod
    def trainer_config(cls, values: Mapping[str, Any], output: Path) -> "FinetuneConfig":
        """The arguments of the trainer."""
        from ngdiff.training.finetune import FinetuneConfig

        config: FinetuneConfig = cls.parser.build(FinetuneConfig, values, output_dir=str(output))
        return config

    def __init__(self, options: TextFinetuneOptions, config: FinetuneArguments) -> None:
        self.options, self.config = options, config
        self.own: dict[str, Any] = {}
        options.check_adapter()
        self.fresh = is_shape(options.model)
        check_adapter_options(options.model, options)
        if self.fresh and options.lora_rank:
            raise InputError(
                f"--lora-rank {options.lora_rank} with --model {options.model}: an adapter is of no use without its "
                "base, and the random weights of a shape are not kept; train all weights, or an adapter of a trained "
                "model"
            )
        if not self.fresh and options.tokenizer is not None:
            raise InputError(f"--tokenizer is for shapes with random weights; {options.model} has its own")
        if not self.fresh and options.vocab_size != TextFinetuneOptions.vocab_size:
            raise InputError(
                f"--vocab-size {options.vocab_size} is for shapes with random weights; {options.model} has its own "
                "tokenizer"
            )
        if options.tokenizer is not None and options.vocab_size != TextFinetuneOptions.vocab_size:
            raise InputError(
                f"--vocab-size {options.vocab_size} changes nothing with --tokenizer {options.tokenizer}, which "
                "has its own size; leave one out"
            )
        self.inputs = inputs_of(options.model, options.train, options.tokenizer, options.chat_template)

    def open_inputs(self) -> None:
        """The rows, once model and tokenizer are there."""
        if self.fresh:
            check_places(self.options.model, tokenizer=self.options.tokenizer)
        else:
            check_models(self.options.model)
        self._rows = self.options.read("train", self.options.train)
        self.options.check_used({"train": self._rows})

    def read(self) -> None:
        """Tokenizer and template."""
        from ngdiff.modeling import load_tokenizer, train_tokenizer

        options = self.options
        self.companion: PreTrainedTokenizerBase
        if self.fresh and options.tokenizer is None:
            texts = [text for row in self._rows for text in (row.prompt, row.answer)]
            self.companion = train_tokenizer(texts, vocab_size=options.vocab_size)
        else:
            name = options.tokenizer or options.model
            self.companion = load_tokenizer(name, trust_remote_code=options.trust_remote_code)
        options.with_chat(self.companion)
        self._template = options.template_for(self.config.template, self.companion, self._rows)
        self.template, self.template_text = self._template.name, self._template.text
        self.data = {"train": describe_data(options.train, self._rows, options.reading("train"))}
        self.model_files: dict[str, Any] = {}
        if is_first():
            self.model_files = _describe_shape(options) if self.fresh else described_model(options.model)
            self.model_files |= options.chat_file()

    def load(self, output: Path) -> None:
        """The model, with its adapter if there is one."""
        from ngdiff.modeling import add_adapter, build_model, check_savable, load_model

        options = self.options
        model: Any  # or a PEFT model around one
        if self.fresh:
            model = build_model(options.model, self.companion, seed=self.config.seed)
        else:
            model = load_model(options.model, dtype=options.dtype, trust_remote_code=options.trust_remote_code)
        check_savable(model, self.companion)
        model, self._merged_base = prepared(model, options, output)
        if (peft_config := options.peft_config()) is not None:
            model = add_adapter(model, peft_config, seed=self.config.seed)
        self.model = cast("PreTrainedModel", model)

    def begun(self) -> None:
        """The folder is there: write the base of a new adapter."""
        if self._merged_base is not None and is_first():
            self._merged_base.write(self.companion)

    def train(self, config: "FinetuneConfig", **options: Any) -> "FinetuneResult":
        """Train; options as of `ngdiff.training.finetune.finetune`."""
        from ngdiff.training.finetune import finetune

        return finetune(self.model, self.companion, self._rows, self._template, config, **options)


def _describe_shape(options: TextFinetuneOptions) -> dict[str, Any]:
    """The shape, and the tokenizer where one was given (else the rows made it)."""
    described = described_shape(options.model)
    if options.tokenizer is not None:
        tokenizer = describe_model(options.tokenizer)
        if "files" in tokenizer:  # it may be next to a model, whose weights are not part of it
            files = tokenizer["files"]
            tokenizer["files"] = {name: files[name] for name in files if not name.endswith(".safetensors")}
        described["tokenizer"] = tokenizer
    return described
