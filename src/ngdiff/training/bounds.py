"""Smallest and largest values of training arguments, most of which transformers does not check."""

from typing import Any

from ngdiff.errors import InputError
from ngdiff.option import dashed
from ngdiff.ranges import COUNT, COUNT_OR_NONE, FACTOR, SEED, Range

# Learning rates outside this range cannot move float32 weights.
_RATE = Range(1e-30, 1e30)
_ROWS_OF_A_STEP = Range(1, 1_000_000)
# A number below 1 is a fraction of all steps.
_STEPS = Range(0, COUNT.largest, without_least=True)
_MOMENT = Range(0, 1, without_largest=True)

# Argument -> valid values. Without these checks the errors come late, from somewhere inside a run, or never.
RANGES: dict[str, Range] = {
    "num_train_epochs": COUNT_OR_NONE,
    "per_device_train_batch_size": _ROWS_OF_A_STEP,
    "per_device_eval_batch_size": _ROWS_OF_A_STEP,
    "gradient_accumulation_steps": _ROWS_OF_A_STEP,
    "warmup_steps": COUNT_OR_NONE,
    "weight_decay": FACTOR,
    "max_grad_norm": FACTOR,
    "adam_beta1": _MOMENT,
    "adam_beta2": _MOMENT,
    "adam_epsilon": FACTOR,
    "label_smoothing_factor": Range(0, 1, without_largest=True),
    "neftune_noise_alpha": FACTOR,
    "seed": SEED,
    "data_seed": SEED,
    "logging_steps": _STEPS,
    "save_steps": _STEPS,
    "eval_steps": _STEPS,
    "eval_delay": COUNT_OR_NONE,
    "save_total_limit": COUNT,
    "torch_empty_cache_steps": COUNT,
    # Each worker is a process.
    "dataloader_num_workers": Range(0, 1024),
    "dataloader_prefetch_factor": Range(1, 1_000_000),
    "ddp_bucket_cap_mb": Range(1, 1_000_000),
    "ddp_timeout": COUNT,  # seconds
    # Options of ngdiff.
    "max_length": Range(2, COUNT.largest),
    "eval_generate_steps": COUNT_OR_NONE,
    "utility_floor": Range(0, 1, without_least=True),
    "stop_loss": FACTOR,
    "c": Range(0, 1),
    "autolr_interval": COUNT,
    "autolr_inertia": Range(0, 1, without_largest=True),
    "gradient_buffers": Range(1, 2),
}


def check_bounds(args: Any) -> None:
    """Refuse arguments out of range.

    Args:
        args: Training arguments.

    Raises:
        InputError: names the option, the value found and the values accepted.
    """
    for name, accepted in RANGES.items():
        value = getattr(args, name, None)
        if isinstance(value, int | float):  # else it was not given, or is no number and refused for that
            accepted.check(value, dashed(name))
    if args.max_steps == -1:
        _STEPS.check(args.num_train_epochs, "--num-train-epochs")
    elif args.max_steps not in COUNT:
        raise InputError(f"--max-steps {args.max_steps} is neither -1 (the passes count) nor {COUNT}")
    rows, micro_batches = args.per_device_train_batch_size, args.gradient_accumulation_steps
    if rows * micro_batches not in _ROWS_OF_A_STEP:
        raise InputError(
            f"--per-device-train-batch-size {rows} with --gradient-accumulation-steps {micro_batches} is a step of "
            f"{rows * micro_batches:,} rows; {_ROWS_OF_A_STEP.largest:,} are the most"
        )


def check_rate(rate: float, option: str) -> None:
    """Refuse a learning rate that no weight could be moved by.

    Raises:
        InputError: names the option as given, and what would be accepted.
    """
    if rate not in _RATE:
        raise InputError(f"{option} is not {_RATE}")
