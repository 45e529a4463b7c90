"""Options: what they mean, and that bad ones are refused at once, by name and value."""

import dataclasses
import math
import re

import pytest

from ngdiff.errors import InputError
from ngdiff.training import UnlearnConfig
from ngdiff.training.finetune import FinetuneConfig


def config(tmp_path, **options) -> UnlearnConfig:
    return UnlearnConfig(output_dir=str(tmp_path), use_cpu=True, **options)


@pytest.mark.parametrize(
    ("given", "autolr", "start", "rate"),
    [
        ("auto", True, None, None),
        ("auto:1e-7", True, 1e-7, 1e-7),
        ("auto:0.5", True, 0.5, 0.5),
        (3e-5, False, None, 3e-5),
        ("3e-5", False, None, 3e-5),
    ],
)
def test_learning_rate(tmp_path, given, autolr, start, rate):
    args = config(tmp_path, learning_rate=given)
    assert (args.autolr, args.autolr_start) == (autolr, start)
    assert isinstance(args.starting_rate, float)
    assert rate in (None, args.starting_rate)


def test_arguments_survive_a_round_trip(tmp_path):
    for given in ("auto", "auto:1e-07", 1e-3):
        args = config(tmp_path, learning_rate=given)
        assert args.learning_rate == given
        again = dataclasses.replace(args, seed=3)
        assert (again.learning_rate, again.autolr, again.autolr_start) == (given, args.autolr, args.autolr_start)
    assert not dataclasses.replace(config(tmp_path), learning_rate=1e-5).autolr


@pytest.mark.parametrize("bad", ["0", "-1e-4", 0.0, -1.0, "auto:", "auto:0", "auto:x", "fast", "nan", "inf", "1e", ""])
def test_bad_learning_rates(tmp_path, bad):
    with pytest.raises(InputError, match=f"--learning-rate {bad} is not auto, auto:START or a positive number"):
        config(tmp_path, learning_rate=bad)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "magic"}, "--method magic is not known; one of ngdiff, gdiff, gd, ga"),
        ({"forget_objective": "x"}, "--forget-objective x is not known"),
        ({"retain_objective": "x"}, "--retain-objective x is not known"),
        ({"method": "gdiff", "c": 1.5}, "--c 1.5 is not from 0 to 1"),
        ({"c": 0.5}, "--c 0.5 has no meaning for the weighting ngdiff; gdiff takes it"),
        ({"fused_loss": "apex"}, "--fused-loss apex is not known; one of none, cce, liger"),
        ({"forget_ceiling": "low"}, "--forget-ceiling low is none of"),
        ({"autolr_interval": 0}, "--autolr-interval 0 is not"),
        ({"autolr_max_change": 1.0}, "--autolr-max-change 1 is not a factor above 1"),
        ({"autolr_inertia": 1.0}, "--autolr-inertia 1 is not from 0 to below 1"),
        ({"autolr_batch": "old"}, "--autolr-batch old is not known; one of fresh, same"),
        ({"lr_scheduler_type": "cosine"}, "--lr-scheduler-type cosine would overwrite"),
        ({"warmup_steps": 5}, "--warmup-steps 5 does nothing here"),
        ({"warmup_steps": 5, "learning_rate": 1e-4}, "warms up under --lr-scheduler-type constant_with_warmup"),
        ({"train_sampling_strategy": "sequential"}, "--train-sampling-strategy sequential is not supported"),
        ({"auto_find_batch_size": True}, "--auto-find-batch-size is not supported"),
        ({"fp16": True}, "--fp16 is not supported.*use --bf16"),
        ({"deepspeed": "config.json"}, "--deepspeed config.json is not supported"),
        ({"fsdp": True}, "--fsdp needs several processes"),
        ({"fsdp": True, "fsdp_config": {"version": 1}}, "FSDP version 1 is not supported.*use version 2"),
        ({"fsdp": True, "fsdp_config": {"fsdp_cpu_offload": True}}, "weights on the host"),
    ],
)
def test_bad_options_are_named(tmp_path, options, message):
    with pytest.raises(InputError, match=message):
        config(tmp_path, **options)


def test_a_fixed_rate_may_have_a_schedule(tmp_path):
    assert config(tmp_path, learning_rate=1e-4, lr_scheduler_type="cosine").lr_scheduler_type == "cosine"


def test_defaults_suit_short_runs(tmp_path):
    args = config(tmp_path)
    assert (args.num_train_epochs, args.max_grad_norm, args.weight_decay) == (15.0, 0.0, 0.0)
    assert (args.logging_steps, args.save_strategy, args.logging_nan_inf_filter) == (1, "epoch", False)


def test_without_weight_on_the_retain_set_there_is_no_search(tmp_path):
    settings = config(tmp_path).autolr_settings(retain_counts=False, noise=1e-6)
    assert (settings.search, settings.max_change, settings.inertia) == (False, None, 0.0)
    unbounded = config(tmp_path, autolr_max_change=math.inf).autolr_settings(noise=1e-6)
    assert unbounded.max_change is None


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"per_device_train_batch_size": 0}, "--per-device-train-batch-size 0 is not from 1 to 1,000,000"),
        ({"per_device_eval_batch_size": 0}, "--per-device-eval-batch-size 0 is not from 1 to 1,000,000"),
        ({"gradient_accumulation_steps": 0}, "--gradient-accumulation-steps 0 is not from 1 to 1,000,000"),
        ({"logging_steps": -1}, "--logging-steps -1 is not from above 0"),
        ({"save_steps": -1}, "--save-steps -1 is not from above 0"),
        ({"weight_decay": -0.5}, "--weight-decay -0.5 is not from 0 to"),
        ({"max_grad_norm": -1.0}, "--max-grad-norm -1 is not from 0 to"),
        ({"max_steps": 0}, "--max-steps 0 is neither -1"),
        ({"max_steps": -2}, "--max-steps -2 is neither -1"),
        ({"num_train_epochs": 0}, "--num-train-epochs 0 is not from above 0"),
        ({"num_train_epochs": math.nan}, "--num-train-epochs nan is not from 0"),
        ({"seed": -1}, "--seed -1 is not from 0 to 4,294,967,295"),
        ({"seed": 2**32}, "--seed 4294967296 is not from 0 to 4,294,967,295"),
    ],
)
@pytest.mark.parametrize("kind", [UnlearnConfig, FinetuneConfig])
def test_arguments_out_of_range(tmp_path, kind, options, message):
    with pytest.raises(InputError, match=re.escape(message)):
        kind(output_dir=str(tmp_path), use_cpu=True, **options)


def test_steps_count_instead_of_passes(tmp_path):
    assert config(tmp_path, max_steps=1, num_train_epochs=0).max_steps == 1
