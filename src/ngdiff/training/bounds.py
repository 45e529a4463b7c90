"""Smallest and largest values of training arguments that transformers takes without a look."""

from transformers import TrainingArguments

from ngdiff.errors import InputError

# Argument -> the least value that makes sense. Without these checks the errors come late, from somewhere inside a run.
LEAST = {
    "per_device_train_batch_size": 1,
    "per_device_eval_batch_size": 1,
    "gradient_accumulation_steps": 1,
    "logging_steps": 0,
    "save_steps": 0,
    "weight_decay": 0,
    "max_grad_norm": 0,
}
# Learning rates outside are beyond what float32 weights can be moved by.
_LEAST_RATE, _LARGEST_RATE = 1e-30, 1e30
_LARGEST_SEED = 2**32 - 1  # of numpy's generator


def check_bounds(args: TrainingArguments) -> None:
    """Refuse arguments out of range.

    Raises:
        InputError: names the option, the value found and the values accepted.
    """
    for name, least in LEAST.items():
        value = getattr(args, name)
        if value is not None and not value >= least:
            raise InputError(f"--{name.replace('_', '-')} {value:g} is not {least} or more")
    if args.max_steps != -1 and args.max_steps < 1:
        raise InputError(f"--max-steps {args.max_steps} is neither -1 (the passes count) nor 1 or more")
    if args.max_steps == -1 and not args.num_train_epochs > 0:
        raise InputError(f"--num-train-epochs {args.num_train_epochs:g} is not above 0")
    for name in ("seed", "data_seed"):
        seed = getattr(args, name)
        if seed is not None and not 0 <= seed <= _LARGEST_SEED:
            raise InputError(f"--{name.replace('_', '-')} {seed} is not between 0 and {_LARGEST_SEED}")
    if not 0 <= args.label_smoothing_factor < 1:
        raise InputError(f"--label-smoothing-factor {args.label_smoothing_factor:g} is not from 0 to below 1")


def check_rate(rate: float, option: str) -> None:
    """Refuse a learning rate that no weight could be moved by.

    Raises:
        InputError: names the option as given, and what would be accepted.
    """
    if not _LEAST_RATE <= rate <= _LARGEST_RATE:
        raise InputError(f"{option} is not between {_LEAST_RATE:g} and {_LARGEST_RATE:g}")
