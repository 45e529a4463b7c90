"""Refuses inherited options that are not known, do not work in a run, or not beside the others.

What the tables of `ngdiff.training.inherited_options` say; without torch.
"""

import logging
import os
from dataclasses import MISSING, fields
from enum import Enum
from typing import Any, get_args, get_type_hints

from ngdiff.errors import InputError
from ngdiff.option import dashed
from ngdiff.training.inherited_options import INHERITED, NEEDS, Run
from ngdiff.training.trainer_fields import TrainerFields

logger = logging.getLogger(__name__)


def check_given(args: TrainerFields, run: Run) -> None:
    """Refuse options that were given and do not work in this run. To be called before they are filled in.

    Raises:
        InputError: an option that is refused, or that changes nothing beside the others; the reason and what to do.
    """
    _check_names(args)
    table = INHERITED[run]
    for name in sorted(set(changed(args))):
        value = getattr(args, name)
        if name in table.refused:
            raise InputError(f"{dashed(name)}{_shown(name, value)} is not supported: {table.refused[name]}")
        if name in table.irrelevant:
            logger.warning("%s changes nothing: %s.", dashed(name), table.irrelevant[name])
        if name == "data_seed" and run == "finetune" and args.train_sampling_strategy != "random":
            raise InputError(f"--data-seed {value} changes nothing without --train-sampling-strategy random")
        if name == "ddp_backend" and int(os.environ.get("WORLD_SIZE") or 1) == 1:
            raise InputError(
                f"--ddp-backend {value} needs several processes: torchrun --nproc-per-node N -m ngdiff ..."
            )
        if name in NEEDS:
            needed, advice = NEEDS[name]
            if not any(_is_met(args, other, values) for other, values in needed):
                raise InputError(f"{dashed(name)} {value} changes nothing without another option: {advice}")
    if run == "unlearn" and (plain(args.save_strategy) == "best" or args.load_best_model_at_end):
        _check_best(args)
    elif plain(args.save_strategy) == "best":
        raise InputError(f"--save-strategy best is not supported: {INHERITED[run].refused['eval_strategy']}")


def changed(args: TrainerFields) -> list[str]:
    """Names of the inherited options whose value is not the default."""
    inherited = {field.name for field in fields(TrainerFields)}
    defaults = defaults_of(args)
    return [name for name in inherited & defaults.keys() if plain(getattr(args, name)) != plain(defaults[name])]


def defaults_of(args: TrainerFields) -> dict[str, Any]:
    """Of all options, by name."""
    return {
        field.name: field.default if field.default_factory is MISSING else field.default_factory()
        for field in fields(args)
        if field.init
    }


def plain(value: Any) -> Any:
    """A value, or None where `TrainingArguments` writes what is left out in another way, as it fills itself in."""
    if type(value).__name__ == "AcceleratorConfig":
        return None if value == type(value)() else value
    return None if value in ("", [], "none", ["none"]) else value.value if isinstance(value, Enum) else value


def _check_names(args: TrainerFields) -> None:
    """Names of which transformers has a list, and does not say for which option one is unknown."""
    for name, hint in get_type_hints(TrainerFields).items():
        for kind in get_args(hint) or (hint,):
            if not (isinstance(kind, type) and issubclass(kind, Enum)):
                continue
            value, known = getattr(args, name), [item.value for item in kind]
            if value is not None and (value.value if isinstance(value, Enum) else value) not in known:
                raise InputError(f"{dashed(name)} {value} is not known; one of {', '.join(known)}")


def _check_best(args: Any) -> None:
    option = "--load-best-model-at-end" if args.load_best_model_at_end else "--save-strategy best"
    if plain(args.eval_strategy) == "no":
        raise InputError(f"{option} needs losses to compare: add --eval-strategy steps or epoch")
    metric = args.metric_for_best_model
    if metric is None:
        raise InputError(f"{option} needs --metric-for-best-model, such as eval_retain_loss (the lowest is best)")
    if metric.removeprefix("eval_") == "forget_loss" and args.greater_is_better is None:
        raise InputError(
            f"--metric-for-best-model {metric} needs --greater-is-better yes or no: of losses the lowest is taken as "
            "best, which would be the model that has forgotten least"
        )


def _is_met(args: Any, name: str, values: tuple[object, ...]) -> bool:
    """Whether an option has one of the values; without values: whether it is given at all."""
    value = plain(getattr(args, name))
    if not values:
        return value not in (None, False, 0, "", "none", [], ["none"])
    return any(item in values for item in (value if isinstance(value, list) else [value]))


def _shown(name: str, value: Any) -> str:
    """The value behind the option's name; nothing for a switch or a secret."""
    return "" if value is True or name.endswith("_token") else f" {plain(value)}"
