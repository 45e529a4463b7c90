"""The config that a run writes: short, and `--config` reads the same values from it."""

from pathlib import Path
from typing import Any

import pytest
import torch
import yaml
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from transformers import TrainingArguments

from ngdiff.cli.evaluate_options import TextEvaluateOptions
from ngdiff.cli.options import LoraOptions, resolved
from ngdiff.cli.text_evaluation import TextEvaluation
from ngdiff.cli.text_finetuning import TextFinetuneOptions, TextFinetuning
from ngdiff.cli.text_unlearning import TextUnlearning, TextUnlearnOptions
from ngdiff.errors import InputError
from ngdiff.training import UnlearnConfig
from ngdiff.training.finetune import FinetuneConfig
from ngdiff.training.finetune_images import ImageFinetuneConfig
from ngdiff.training.given import as_given

BASIC = {
    "unlearn": ["--model", "m", "--forget", "f.jsonl", "--retain", "r.jsonl", "--output", "o"],
    "finetune": ["--model", "m", "--train", "t.jsonl", "--output", "o"],
    "evaluate": ["--model", "m", "--forget", "f.jsonl", "--retain", "r.jsonl"],
}


def parts_of(command: str, words: list[str]) -> tuple[Any, ...]:
    parser, kind, config = {
        "unlearn": (TextUnlearning.parser, TextUnlearnOptions, UnlearnConfig),
        "finetune": (TextFinetuning.parser, TextFinetuneOptions, FinetuneConfig),
        "evaluate": (TextEvaluation.parser, TextEvaluateOptions, None),
    }[command]
    values = parser.parse(words)
    options = parser.build(kind, values)
    return (options,) if config is None else (options, parser.build(config, values, output_dir=options.output))


def config_of(command: str, words: list[str]) -> dict[str, Any]:
    return resolved(*parts_of(command, words))


def read_back(command: str, config: dict[str, Any], folder: Path) -> dict[str, Any]:
    file = folder / "config.yaml"
    file.write_text(yaml.safe_dump(config), encoding="utf-8")
    return config_of(command, ["--config", str(file)])


def test_defaults_of_transformers_do_not_appear():
    config = config_of("unlearn", BASIC["unlearn"])
    named = {"model", "dtype", "forget", "retain", "learning_rate", "method", "num_train_epochs", "save_strategy"}
    assert named <= config.keys()
    leaks = ("accelerator_config", "debug", "report_to", "include_for_metrics", "adam_beta1", "gradient_checkpointing")
    assert not {*leaks, "dataloader_pin_memory", "disable_tqdm", "output_dir", "autolr"} & config.keys()
    # Inherited options are there only where the class gives them a default of its own.
    assert "seed" not in config
    assert config["max_grad_norm"] == 0.0


def test_inherited_options_that_were_given_appear():
    config = config_of("unlearn", [*BASIC["unlearn"], "--seed", "7", "--adam-beta1", "0.8", "--report-to", "none"])
    assert (config["seed"], config["adam_beta1"]) == (7, 0.8)
    assert "report_to" not in config  # what was given is the default


def test_what_belongs_to_one_call_does_not_appear():
    config = config_of("unlearn", [*BASIC["unlearn"], "--overwrite", "--resume"])
    assert not {"overwrite", "resume"} & config.keys()


def test_none_in_place_of_a_default_survives(tmp_path):
    config = config_of("unlearn", [*BASIC["unlearn"], "--save-total-limit", "none"])
    assert config["save_total_limit"] == "none"
    assert read_back("unlearn", config, tmp_path) == config
    config = config_of("finetune", [*BASIC["finetune"], "--stop-loss", "none"])
    assert config["stop_loss"] == "none"
    assert read_back("finetune", config, tmp_path) == config


numbers = st.floats(1e-9, 1e3)
names = st.text("abcdefghijklmnopqrstuvwxyz_", min_size=1, max_size=8)
# A prompt of printable characters, YAML's and argparse's favourites among them.
texts = st.text(st.sampled_from("ab -:#'\"\n{}%é,[]&*!|>?@`\\"), max_size=12).map(
    lambda text: text.replace("{", "{{").replace("}", "}}") + "{question} {answer}"
)
TRAINING = {
    "seed": st.integers(0, 2**32 - 1),
    "num_train_epochs": numbers,
    "max_steps": st.integers(1, 10**6),
    "weight_decay": numbers,
    "max_grad_norm": numbers,
    "per_device_train_batch_size": st.integers(1, 512),
    "optim": st.sampled_from(["sgd", "adamw_torch", "adafactor"]),
    "save_strategy": st.sampled_from(["no", "epoch", "steps"]),
    "save_total_limit": st.one_of(st.just("none"), st.integers(1, 9)),
    "max_length": st.one_of(st.just("none"), st.integers(2, 10**6)),
    "disable_tqdm": st.sampled_from(["true", "false"]),
    "lora_rank": st.integers(0, 64),
    "lora_target_modules": names,
    "template": texts,
}
OPTIONS = {
    "unlearn": {
        **TRAINING,
        "eval_strategy": st.sampled_from(["no", "epoch", "steps"]),
        "learning_rate": st.one_of(st.just("auto"), numbers.map(lambda x: f"auto:{x!r}"), numbers),
        "forget_ceiling": st.one_of(st.sampled_from(["random", "none", "holdout"]), numbers),
        "autolr_interval": st.integers(1, 99),
        "autolr_search": st.sampled_from(["true", "false"]),
        "drop_overlap": st.sampled_from(["true", "false"]),
        "holdout": names,
    },
    "finetune": {
        **TRAINING,
        "learning_rate": st.one_of(st.just("auto"), numbers),
        "stop_loss": st.one_of(st.just("none"), numbers),
        "vocab_size": st.integers(1, 10**6),
        "lr_scheduler_type": st.sampled_from(["linear", "constant"]),
    },
    "evaluate": {
        "max_length": st.one_of(st.just("none"), st.integers(2, 10**6)),
        "max_new_tokens": st.integers(1, 999),
        "template": texts,
        "drop_overlap": st.sampled_from(["true", "false"]),
        "output": names,
    },
}


@pytest.mark.parametrize("command", BASIC)
@given(data=st.data())
@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_a_config_reads_back_to_the_same_values(command, tmp_path, data):
    drawn = data.draw(st.fixed_dictionaries({}, optional=OPTIONS[command]))
    words = BASIC[command] + [f"--{name}={value}" for name, value in drawn.items()]
    config = config_of(command, words)
    again = read_back(command, config, tmp_path)
    assert again == config
    # Not only the config: the options themselves.
    first, second = (parts_of(command, w) for w in (words, ["--config", str(tmp_path / "config.yaml")]))
    assert first[0] == second[0]
    if len(first) > 1:
        assert first[1].to_dict() == second[1].to_dict()


OTHER_RUNS = {
    "method": (["--method", "rmu"], ["--method", "ngdiff"], lambda c: (c.ceiling_form, c.forget_ceiling)),
    "optimizer": (["--optimizer", "prodigy"], ["--optimizer", "schedule-free-adamw"], lambda c: c.starting_rate),
    "metric": (
        ["--eval-strategy", "epoch", "--load-best-model-at-end", "--metric-for-best-model", "eval_retain_loss"],
        ["--metric-for-best-model", "eval_retain_accuracy"],
        lambda c: c.greater_is_better,
    ),
    "steps": (
        ["--eval-strategy", "steps", "--logging-steps", "7"],
        ["--logging-steps", "3"],
        lambda c: (c.eval_steps, c.do_eval),
    ),
    "strategy": (["--eval-strategy", "epoch"], ["--eval-strategy", "no"], lambda c: c.do_eval),
    "compile": (["--torch-compile"], ["--torch-compile", "no"], lambda c: (c.torch_compile, c.torch_compile_backend)),
}


@pytest.mark.parametrize("kind", OTHER_RUNS)
def test_a_config_of_one_run_means_in_another_what_it_means_when_typed(kind, tmp_path):
    first, change, meaning = OTHER_RUNS[kind]
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config_of("unlearn", [*BASIC["unlearn"], *first])))
    read = parts_of("unlearn", ["--config", str(tmp_path / "config.yaml"), *change])[1]
    typed = parts_of("unlearn", [*BASIC["unlearn"], *first, *change])[1]
    assert meaning(read) == meaning(typed)
    assert read.given == typed.given


def test_a_config_of_one_machine_means_the_same_on_another(tmp_path, monkeypatch):
    monkeypatch.setenv("WORLD_SIZE", "2")  # several processes without accelerators run on the CPU
    monkeypatch.setattr("torch.accelerator.is_available", lambda: False)
    monkeypatch.setattr(UnlearnConfig, "device", torch.device("cpu"))
    config = config_of("unlearn", BASIC["unlearn"])
    assert not {"use_cpu", "ddp_find_unused_parameters", "dataloader_pin_memory"} & config.keys()


@pytest.mark.parametrize("kind", [UnlearnConfig, FinetuneConfig, ImageFinetuneConfig])
def test_bf16_where_there_is_none_names_use_cpu(kind, tmp_path, monkeypatch):
    monkeypatch.setattr("ngdiff.training.check_inherited.is_torch_bf16_gpu_available", lambda: False)
    with pytest.raises(InputError, match=r"--bf16: no accelerator here .* give --use-cpu, too"):
        kind(output_dir=str(tmp_path), bf16=True)
    assert kind(output_dir=str(tmp_path), bf16=True, use_cpu=True).bf16


def test_secrets_are_not_written():
    assert "hf_x" not in str(as_given(TrainingArguments(output_dir="o", hub_token="hf_x")))


def test_json_that_is_none_is_named():
    with pytest.raises(InputError, match=r"--lr-scheduler-kwargs \{a: 1\} is not JSON"):
        parts_of("unlearn", [*BASIC["unlearn"], "--lr-scheduler-kwargs", "{a: 1}"])


@pytest.mark.parametrize(
    ("rank", "alpha", "message"),
    [
        (-1, None, "--lora-rank -1 is not from 0 to 65,536"),
        (2, 0, "--lora-alpha 0 is not from 1 to 1,000,000,000"),
        (0, 8, "--lora-alpha changes nothing without --lora-rank"),
    ],
)
def test_bad_adapters(rank, alpha, message):
    with pytest.raises(InputError, match=message):
        LoraOptions(lora_rank=rank, lora_alpha=alpha).peft_config()


def test_layers_without_an_adapter():
    with pytest.raises(InputError, match="--lora-target-modules changes nothing without --lora-rank"):
        LoraOptions(lora_target_modules=["q_proj"]).peft_config()


def test_adapters():
    assert LoraOptions().peft_config() is None
    config = LoraOptions(lora_rank=3, lora_target_modules=["q_proj"]).peft_config()
    assert (config.r, config.lora_alpha, config.target_modules) == (3, 6, {"q_proj"})
