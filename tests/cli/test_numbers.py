"""Every number that a command takes: what cannot be meant is refused before anything is read, by option and value."""

import dataclasses
import typing
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from ngdiff.cli import audit, compare, demo, score
from ngdiff.cli.parsing import CommandParser
from ngdiff.cli.tasks import TASKS
from ngdiff.errors import InputError
from ngdiff.ranges import COUNT, Range
from ngdiff.training import UnlearnConfig
from ngdiff.training.finetune import FinetuneConfig
from ngdiff.training.finetune_arguments import FinetuneArguments, ImageFinetuneArguments
from ngdiff.training.finetune_images import ImageFinetuneConfig
from ngdiff.training.unlearn_arguments import UnlearnArguments

HUGE = str(10**20)
STRANGE = ("nan", "inf", "-inf", "-1", "0", HUGE, "1e300")

# What a strange value means where it is taken; all others are refused.
NOUGHT = {
    "chunk_overlap": "no context",
    **dict.fromkeys(("seed", "data_seed", "forget_seed"), "one seed among others"),
    **dict.fromkeys(("adam_beta1", "adam_beta2", "autolr_inertia"), "no memory of what was before"),
    **dict.fromkeys(("weight_decay", "max_grad_norm", "label_smoothing_factor", "neftune_noise_alpha"), "off"),
    **dict.fromkeys(("warmup_steps", "eval_delay", "dataloader_num_workers", "lora_rank", "prompt_tokens"), "none"),
    "adam_epsilon": "nothing is added",
    "eval_generate_steps": "no measure",
    "c": "the retain gradient counts nothing",
    "stop_loss": "never reached",
}
FACTORS = ("weight_decay", "max_grad_norm", "adam_epsilon", "neftune_noise_alpha", "stop_loss", "learning_rate")
MEANINGS: dict[str, dict[str, str]] = {
    "0": NOUGHT | {"local_rank": "said to change nothing"},
    "-1": {"max_steps": "the passes count", "local_rank": "said to change nothing"},
    "inf": {"autolr_max_change": "any change"},
    HUGE: {
        **dict.fromkeys(FACTORS, "a float32 can be multiplied by it"),
        **dict.fromkeys(("forget_ceiling", "max_retain_loss", "max_loss"), "never reached"),
        "autolr_max_change": "any change",
        "local_rank": "said to change nothing",
    },
    "1e300": {
        **dict.fromkeys(("forget_ceiling", "max_retain_loss", "max_loss"), "never reached"),
        "autolr_max_change": "any change",
    },
}
# Texts that may be numbers.
OR_NUMBER = ("forget_ceiling", "max_retain_loss", "max_loss", "prompt_tokens")
# Without these an option is refused because it changes nothing.
BESIDE = {
    "logging_steps": ["--logging-strategy", "steps"],
    "save_steps": ["--save-strategy", "steps"],
    "eval_steps": ["--eval-strategy", "steps"],
    "eval_delay": ["--eval-strategy", "steps"],
    "dataloader_prefetch_factor": ["--dataloader-num-workers", "1"],
    "data_seed": ["--train-sampling-strategy", "random"],
    "c": ["--method", "gdiff"],
}
NEEDED = {"model": "m", "forget": "f", "retain": "r", "train": "t", "dataset": "d", "output": "o"}
# What the command line reads of the trainer's arguments -> those, made with torch.
CONFIGS: dict[type, type] = {
    UnlearnArguments: UnlearnConfig,
    FinetuneArguments: FinetuneConfig,
    ImageFinetuneArguments: ImageFinetuneConfig,
}
COMMANDS = ("unlearn", "finetune", "evaluate")
KINDS: dict[str, Any] = {f"{name} {task}": getattr(row, name) for task, row in TASKS.items() for name in COMMANDS}
PARSERS: dict[str, CommandParser] = {name: kind.parser for name, kind in KINDS.items()}
PARSERS |= {"score": score.PARSER, "compare": compare.PARSER, "demo": demo.PARSER, "audit": audit.PARSER}


def numbers_of(parser: CommandParser) -> Iterator[str]:
    for kind in parser.groups.values():
        hints = typing.get_type_hints(kind)
        for field in dataclasses.fields(kind):
            types = typing.get_args(hints[field.name]) or (hints[field.name],)
            if field.init and ({int, float} & set(types) or field.name in OR_NUMBER):
                yield field.name


def accept(command: str, words: list[str]) -> None:
    """All that a command does before it reads data."""
    parser = PARSERS[command]
    given = [f"--{name}={value}" for name, value in NEEDED.items() if name in parser.required]
    values = parser.parse([*(["run"] if parser.words else []), *given, *words])
    assert values is not None
    for kind in parser.groups.values():
        if kind in CONFIGS:
            parser.build(CONFIGS[kind], values, output_dir="o")
    if command.startswith("evaluate"):
        KINDS[command](KINDS[command].accepted({**values, "forget": "f"} if "text" in command else values))


def refusal(command: str, words: list[str]) -> str:
    """Why a command does not take these words; empty where it takes them."""
    try:
        accept(command, words)
    except InputError as error:
        return str(error)
    return ""


CASES = [(command, name) for command, parser in PARSERS.items() for name in dict.fromkeys(numbers_of(parser))]


@pytest.mark.parametrize(("command", "name"), CASES, ids=lambda value: value.replace("_", "-"))
def test_a_strange_number_is_refused_or_means_something(command: str, name: str) -> None:
    option = f"--{name.replace('_', '-')}"
    # `finetune` has no rows to evaluate on: what belongs to that is refused with any value.
    beside = [] if command.startswith("finetune") and name.startswith("eval") else BESIDE.get(name, [])
    for value in STRANGE:
        said = refusal(command, [*beside, f"{option}={value}"])
        if name in MEANINGS.get(value, {}):  # another rule of this command than the number's may refuse it
            assert "is not from" not in said, value
            continue
        assert said.startswith(option), (value, said)
        assert value in said or f"{float(value):g}" in said, (value, said)
        assert "IntervalStrategy" not in said


def test_the_table_of_meanings_names_options_that_there_are() -> None:
    assert {name for names in MEANINGS.values() for name in names} <= {name for _, name in CASES}


@pytest.mark.parametrize("name", ["num_train_epochs"])
@pytest.mark.parametrize("value", ["nan", "inf", "-1"])
def test_passes_are_checked_also_where_steps_count(name: str, value: str) -> None:
    with pytest.raises(InputError, match=rf"--num-train-epochs {value} is not from 0 to 1,000,000,000"):
        accept("unlearn text", ["--max-steps=3", f"--num-train-epochs={value}"])


def test_a_step_of_too_many_rows() -> None:
    words = ["--per-device-train-batch-size=2000", "--gradient-accumulation-steps=1000"]
    with pytest.raises(InputError, match="is a step of 2,000,000 rows; 1,000,000 are the most"):
        accept("finetune text", words)


def test_a_number_of_a_config_file_is_checked_too(tmp_path: Path) -> None:
    (tmp_path / "c.yaml").write_text("tokens_per_batch: 0\n")
    with pytest.raises(InputError, match="--tokens-per-batch 0 is not from 1 to 1,000,000,000"):
        accept("evaluate text", ["--config", str(tmp_path / "c.yaml")])


@pytest.mark.parametrize(
    ("range_", "value", "said"),
    [
        (COUNT, 0, "0 is not from 1 to 1,000,000,000"),
        (COUNT, 10**500, "10000000000000000000... (501 digits) is not from 1"),
        (Range(0, 1, without_largest=True), 1.0, "1 is not from 0 to below 1"),
        (Range(0, 1, without_least=True), 0.0, "0 is not from above 0 to 1"),
        (Range(0, 1e30), float("nan"), "nan is not from 0 to 1e+30"),
    ],
)
def test_messages(range_: Range, value: Any, said: str) -> None:
    with pytest.raises(InputError) as caught:
        range_.check(value, "--x")
    assert str(caught.value).startswith(f"--x {said}")
