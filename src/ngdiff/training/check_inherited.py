"""Refuses inherited options that the installed torch and transformers cannot use, before a model is read."""

import copy
import logging
import os
from collections.abc import Callable, Iterable
from typing import Any

import torch
from transformers import Trainer, TrainingArguments, get_scheduler
from transformers.integrations import get_reporting_integration_callbacks
from transformers.utils import is_torch_bf16_gpu_available

from ngdiff.errors import InputError
from ngdiff.option import check_choice, dashed
from ngdiff.speed.cpu.bfloat16 import computes_bfloat16
from ngdiff.training.check_given import changed, defaults_of, plain
from ngdiff.training.inherited_options import REFUSED_OPTIMIZERS

logger = logging.getLogger(__name__)

# Backends of torch.compile. To list them, torch imports its compiler, which takes seconds.
_OF_COMPILING: dict[str, Callable[[], list[str]]] = {
    "torch_compile_backend": lambda: torch.compiler.list_backends(exclude_tags=()),
    "torch_compile_mode": lambda: ["default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs"],
}
# Tracker -> the variable that tells it to upload each checkpoint, and its values. It looks for them directly in the
# output folder, where they are not.
_YES = ("1", "on", "yes", "true")
_UPLOADS: dict[str, tuple[str, tuple[str, ...]]] = {
    "wandb": ("WANDB_LOG_MODEL", ("checkpoint",)),
    "mlflow": ("HF_MLFLOW_LOG_ARTIFACTS", _YES),
    "clearml": ("CLEARML_LOG_MODEL", _YES),
}
# Options that only some optimizers accept.
_OF_SOME_OPTIMIZERS = ("optim_args", "adam_beta1", "adam_beta2", "adam_epsilon")


def check_installed(args: TrainingArguments) -> None:
    """Refuse names that the installed torch does not know, and trackers whose package is missing or that upload.

    Raises:
        InputError: names option and value.
    """
    for name, list_known in _OF_COMPILING.items():
        value = getattr(args, name)
        if value is not None:
            check_choice(dashed(name), value, list_known())
    _check_trackers(args)


def check_precision(args: TrainingArguments) -> None:
    """Refuse bfloat16 where nothing computes in it, and warn of a CPU that has no instructions for it.

    Raises:
        InputError: names what to do on a CPU.
    """
    if args.bf16 and not args.use_cpu and not is_torch_bf16_gpu_available():
        raise InputError("--bf16: no accelerator here computes in bfloat16; on a CPU give --use-cpu, too")
    if args.bf16 and args.use_cpu and computes_bfloat16() is False:
        logger.warning(
            "--bf16: this CPU has no instructions for bfloat16, and a step may take several times as long as in "
            "float32; leave --bf16 out, unless numbers are to be compared with those of another machine"
        )


def check_optimizer(args: Any, *, replaced: str | None = None) -> None:
    """Refuse an optimizer of `--optim` whose package is missing, and settings that the optimizer does not take.

    Args:
        args: Filled in.
        replaced: The option that chose another optimizer in place of that of `--optim`.

    Raises:
        InputError: names option and reason.
    """
    given = set(changed(args))
    if replaced is not None:
        for name in ("optim", *_OF_SOME_OPTIMIZERS):
            if name in given:
                shown = f"{dashed(name)} {_value(args, name)}"
                raise InputError(f"{shown} changes nothing with {replaced}: leave out one")
        return
    name = _value(args, "optim")
    for beginning, reason in REFUSED_OPTIMIZERS.items():
        if name.startswith(beginning):
            raise InputError(f"--optim {name} is not supported: {reason}")
    if "optim_args" in given:
        _check_optim_args(args, name)
    settings = _settings(args, name)
    for option in _OF_SOME_OPTIMIZERS:
        if option not in given:
            continue
        default = copy.copy(args)
        setattr(default, option, defaults_of(args)[option])
        if _settings(default, name) == settings:
            raise InputError(
                f"{dashed(option)} {_value(args, option)} changes nothing with --optim {name}: leave it out"
            )


def check_schedule(args: Any) -> None:
    """Refuse a schedule that cannot be made of its settings.

    Args:
        args: Filled in.

    Raises:
        InputError: names the schedule.
    """
    name, settings = _value(args, "lr_scheduler_type"), args.lr_scheduler_kwargs
    if settings and name == "constant":
        raise InputError(f"--lr-scheduler-kwargs {settings} changes nothing with --lr-scheduler-type constant")
    weight = torch.nn.Parameter(torch.zeros(1))
    try:
        get_scheduler(name, torch.optim.SGD([weight], lr=1.0), 0, 10, scheduler_specific_kwargs=settings)
    except (TypeError, ValueError) as error:
        raise InputError(f"--lr-scheduler-type {name} with --lr-scheduler-kwargs {settings}: {error}") from error


def check_activation_checkpointing(args: TrainingArguments, model: Any) -> None:
    """Refuse to recompute activations of a model that cannot.

    Raises:
        InputError: names the model's class.
    """
    if args.activation_checkpointing and not getattr(model, "supports_gradient_checkpointing", False):
        raise InputError(f"--activation-checkpointing: {type(model).__name__} cannot recompute its activations")


def check_best_metric(args: TrainingArguments, names: Iterable[str]) -> None:
    """Refuse a metric that no evaluation of the run has.

    Args:
        args: Filled in.
        names: Of the metrics, such as `eval_retain_loss`.

    Raises:
        InputError: names the metrics that there are.
    """
    schedule = _value(args, "lr_scheduler_type")
    used = args.save_strategy == "best" or args.load_best_model_at_end or schedule in ("reduce_lr_on_plateau", "greedy")
    metric = str(args.metric_for_best_model)
    known = list(names)
    if used and (metric if metric.startswith("eval_") else f"eval_{metric}") not in known:
        raise InputError(
            f"--metric-for-best-model {metric} is no metric of this run; one of {', '.join(known) or 'none'}"
        )


def _check_trackers(args: Any) -> None:
    """A tracker whose package is missing, that is unknown, or that is to upload checkpoints."""
    given = [args.report_to] if isinstance(args.report_to, str) else list(args.report_to or ())
    for name, (variable, values) in _UPLOADS.items():
        value = os.environ.get(variable, "")
        if value.lower() in values and {name, "all"} & set(given):
            raise InputError(
                f"--report-to {name} with {variable}={value}: a tracker gets the numbers of a run, and no checkpoint; "
                f"unset {variable}"
            )
    for name in given:
        if name in ("all", "none"):
            continue
        try:
            for callback in get_reporting_integration_callbacks([name]):
                callback()
        except (ImportError, RuntimeError, ValueError) as error:
            raise InputError(f"--report-to {name}: {error}") from error


def _check_optim_args(args: Any, name: str) -> None:
    """`key=value,...`, with values that the optimizer can read."""
    given = str(args.optim_args)
    if not all(
        key.strip() and rest and "=" not in rest for key, _, rest in (x.partition("=") for x in given.split(","))
    ):
        raise InputError(f"--optim-args {given} is not of the form key=value,key=value")
    without = copy.copy(args)
    without.optim_args = None
    _settings(without, name)
    try:
        _of_trainer(args)
    # How transformers says that it does not take them (a KeyError: one that an optimizer must have is missing).
    except (ValueError, TypeError, NotImplementedError, KeyError) as error:
        raise InputError(f"--optim-args {given} with --optim {name}: {error}") from error


def _settings(args: Any, name: str) -> tuple[Any, Any]:
    try:
        return _of_trainer(args)
    # How transformers says that a package is missing, a name unknown, or a setting not for this optimizer.
    except (ImportError, ValueError, TypeError, NotImplementedError) as error:
        raise InputError(f"--optim {name}: {error}") from error


def _of_trainer(args: Any) -> tuple[Any, Any]:
    fixed = copy.copy(args)
    fixed.learning_rate = 1e-3
    chosen, settings = Trainer.get_optimizer_cls_and_kwargs(fixed)
    return chosen, settings


def _value(args: Any, name: str) -> str:
    return str(plain(getattr(args, name)))
