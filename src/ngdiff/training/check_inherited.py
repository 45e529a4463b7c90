"""Refuses inherited options that do not work here, or not beside the others, before a model is read."""

import copy
import logging
import os
from collections.abc import Callable, Iterable
from dataclasses import MISSING, fields
from enum import Enum
from typing import Any, get_args, get_type_hints

import torch
from transformers import Trainer, TrainingArguments, get_scheduler
from transformers.integrations import get_reporting_integration_callbacks
from transformers.trainer_pt_utils import AcceleratorConfig

from ngdiff.errors import InputError
from ngdiff.training.inherited_options import INHERITED, NEEDS, REFUSED_OPTIMIZERS, Run

logger = logging.getLogger(__name__)

# What torch compiles with. Asked for it imports its compiler, which takes seconds.
_OF_COMPILING: dict[str, Callable[[], list[str]]] = {
    "torch_compile_backend": lambda: torch.compiler.list_backends(exclude_tags=()),
    "torch_compile_mode": lambda: ["default", "reduce-overhead", "max-autotune", "max-autotune-no-cudagraphs"],
}
# What only some optimizers take.
_OF_SOME_OPTIMIZERS = ("optim_args", "adam_beta1", "adam_beta2", "adam_epsilon")


def check_given(args: TrainingArguments, run: Run) -> None:
    """Refuse options that were given and do not work in this run. To be called before they are filled in.

    Raises:
        InputError: an option that is refused, or that changes nothing beside the others; the reason and what to do.
    """
    _check_names(args)
    table = INHERITED[run]
    for name in sorted(set(_changed(args))):
        value = getattr(args, name)
        if name in table.refused:
            raise InputError(f"{_option(name)}{_shown(name, value)} is not supported: {table.refused[name]}")
        if name in table.irrelevant:
            logger.warning("%s changes nothing: %s.", _option(name), table.irrelevant[name])
        if name == "data_seed" and run == "finetune" and args.train_sampling_strategy != "random":
            raise InputError(f"--data-seed {value} changes nothing without --train-sampling-strategy random")
        if name == "ddp_backend" and int(os.environ.get("WORLD_SIZE") or 1) == 1:
            raise InputError(
                f"--ddp-backend {value} needs several processes: torchrun --nproc-per-node N -m ngdiff ..."
            )
        if name in NEEDS:
            needed, advice = NEEDS[name]
            if not any(_is_met(args, other, values) for other, values in needed):
                raise InputError(f"{_option(name)} {value} changes nothing without another option: {advice}")
    _check_trackers(args)
    if run == "unlearn" and (_plain(args.save_strategy) == "best" or args.load_best_model_at_end):
        _check_best(args)
    elif _plain(args.save_strategy) == "best":
        raise InputError(f"--save-strategy best is not supported: {INHERITED[run].refused['eval_strategy']}")


def check_optimizer(args: Any, *, replaced: str | None = None) -> None:
    """Refuse an optimizer of `--optim` whose package is missing, and settings that the optimizer does not take.

    Args:
        args: Filled in.
        replaced: The option that chose another optimizer in place of that of `--optim`.

    Raises:
        InputError: names option and reason.
    """
    changed = set(_changed(args))
    if replaced is not None:
        for name in ("optim", *_OF_SOME_OPTIMIZERS):
            if name in changed:
                raise InputError(f"{_option(name)} {_value(args, name)} changes nothing with {replaced}: leave out one")
        return
    name = _value(args, "optim")
    for beginning, reason in REFUSED_OPTIMIZERS.items():
        if name.startswith(beginning):
            raise InputError(f"--optim {name} is not supported: {reason}")
    if "optim_args" in changed:
        _check_optim_args(args, name)
    settings = _settings(args, name)
    for option in _OF_SOME_OPTIMIZERS:
        if option not in changed:
            continue
        default = copy.copy(args)
        setattr(default, option, _defaults(args)[option])
        if _settings(default, name) == settings:
            raise InputError(
                f"{_option(option)} {_value(args, option)} changes nothing with --optim {name}: leave it out"
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


def _check_names(args: TrainingArguments) -> None:
    """Names of which transformers has a list, and does not say for which option one is unknown; those of torch."""
    for name, hint in get_type_hints(TrainingArguments).items():
        for kind in get_args(hint) or (hint,):
            if not (isinstance(kind, type) and issubclass(kind, Enum)):
                continue
            value, known = getattr(args, name), [item.value for item in kind]
            if value is not None and (value.value if isinstance(value, Enum) else value) not in known:
                raise InputError(f"{_option(name)} {value} is not known; one of {', '.join(known)}")
    for name, list_known in _OF_COMPILING.items():
        value = getattr(args, name)
        if value is not None and value not in (known := list_known()):
            raise InputError(f"{_option(name)} {value} is not known; one of {', '.join(known)}")


def _check_trackers(args: Any) -> None:
    """A tracker whose package is missing, or that nobody knows."""
    given = [args.report_to] if isinstance(args.report_to, str) else list(args.report_to or ())
    for name in given:
        if name in ("all", "none"):
            continue
        try:
            for callback in get_reporting_integration_callbacks([name]):
                callback()
        except (ImportError, RuntimeError, ValueError) as error:
            raise InputError(f"--report-to {name}: {error}") from error


def _check_best(args: Any) -> None:
    option = "--load-best-model-at-end" if args.load_best_model_at_end else "--save-strategy best"
    if _plain(args.eval_strategy) == "no":
        raise InputError(f"{option} needs losses to compare: add --eval-strategy steps or epoch")
    metric = args.metric_for_best_model
    if metric is None:
        raise InputError(f"{option} needs --metric-for-best-model, such as eval_retain_loss (the lowest is best)")
    if metric.removeprefix("eval_") == "forget_loss" and args.greater_is_better is None:
        raise InputError(
            f"--metric-for-best-model {metric} needs --greater-is-better yes or no: of losses the lowest is taken as "
            "best, which would be the model that has forgotten least"
        )


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
    plain = copy.copy(args)
    plain.learning_rate = 1e-3
    chosen, settings = Trainer.get_optimizer_cls_and_kwargs(plain)
    return chosen, settings


def _changed(args: TrainingArguments) -> list[str]:
    """Names of the inherited options whose value is not the default."""
    inherited = {field.name for field in fields(TrainingArguments)}
    defaults = _defaults(args)
    return [name for name in inherited & defaults.keys() if _plain(getattr(args, name)) != _plain(defaults[name])]


def _defaults(args: TrainingArguments) -> dict[str, Any]:
    return {
        field.name: field.default if field.default_factory is MISSING else field.default_factory()
        for field in fields(args)
        if field.init
    }


def _plain(value: Any) -> Any:
    """A value, or None where `TrainingArguments` writes what is left out in another way, as it fills itself in."""
    if isinstance(value, AcceleratorConfig):
        return None if value == AcceleratorConfig() else value
    return None if value in ("", [], "none", ["none"]) else value.value if isinstance(value, Enum) else value


def _is_met(args: Any, name: str, values: tuple[object, ...]) -> bool:
    """Whether an option has one of the values; without values: whether it is given at all."""
    value = _plain(getattr(args, name))
    if not values:
        return value not in (None, False, 0, "", "none", [], ["none"])
    return any(item in values for item in (value if isinstance(value, list) else [value]))


def _option(name: str) -> str:
    return f"--{name.replace('_', '-')}"


def _value(args: Any, name: str) -> str:
    return str(_plain(getattr(args, name)))


def _shown(name: str, value: Any) -> str:
    """The value behind the option's name; nothing for a switch or a secret."""
    return "" if value is True or name.endswith("_token") else f" {_plain(value)}"
