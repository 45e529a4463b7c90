"""The method of a run and its settings in words."""

from collections.abc import Mapping
from typing import Any

from ngdiff.plurals import number_of


def method_in_words(options: Mapping[str, Any], extra: Mapping[str, Any]) -> list[str]:
    """Sentences on a run of `ngdiff unlearn`.

    Args:
        options: Its `config.yaml`.
        extra: Of its manifest.

    >>> print(*method_in_words({"learning_rate": 1e-4, "max_steps": 3}, {}), sep="\\n")
    Method ngdiff.
    The learning rate was fixed at 0.0001.
    3 steps at most.
    """
    parts = extra.get("method", {})
    name = options.get("method", parts.get("weighting", "ngdiff"))
    found = ["Method auto: what was given decides." if name == "auto" else f"Method {name}."]
    if parts:
        found.append(
            f"Each step takes one gradient of rows to keep (objective {parts['retain']}) and one of rows to forget "
            f"(objective {parts['forget']}), and follows both, weighed by {parts['weighting']}."
        )
    found.append(_rate(options))
    found += _length(options, "rows to forget", arrived=extra.get("stop") == "arrived")
    if "rows_per_step" in extra:
        found.append(f"{number_of(extra['rows_per_step'], 'row')} of each set in a step.")
    found += _taken(extra)
    found += _trained(options)
    if options.get("forget_ceiling") is not None:
        found.append(f"Forgetting ends at the ceiling {options['forget_ceiling']}.")
    return found


def finetuning_in_words(options: Mapping[str, Any], extra: Mapping[str, Any]) -> list[str]:
    """Sentences on a run of `ngdiff finetune`; arguments as of `method_in_words`.

    >>> print(*finetuning_in_words({"num_train_epochs": 8.0, "lora_rank": 0}, {}), sep="\\n")
    Trained by cross-entropy of the answers.
    8 passes over the rows at most.
    All weights were trained.
    """
    images = options.get("task") == "image"
    found = [f"Trained by cross-entropy of the {'classes' if images else 'answers'}."]
    if options.get("learning_rate") not in (None, "auto"):
        found.append(f"The learning rate was {options['learning_rate']}.")
    found += [line.replace(" rows.", " rows at most.") for line in _length(options, "rows")]
    return found + _taken(extra) + _trained(options)


def _rate(options: Mapping[str, Any]) -> str:
    if options.get("optimizer"):
        return f"The optimizer {options['optimizer']} finds its own step size."
    rate = options.get("learning_rate", "auto")
    if rate in (None, "auto"):
        return "The learning rate was found from the loss on the rows to keep."
    return f"The learning rate was fixed at {rate}."


def _length(options: Mapping[str, Any], over: str, *, arrived: bool = False) -> list[str]:
    if options.get("max_steps", -1) not in (-1, None):
        return [f"{number_of(options['max_steps'], 'step')} at most."]
    if "num_train_epochs" not in options:
        return []
    passes = f"{number_of(float(options['num_train_epochs']), 'pass')} over the {over}"
    return [f"{passes} at least, until their loss has arrived." if arrived else f"{passes}."]


def _taken(extra: Mapping[str, Any]) -> list[str]:
    found = []
    if (steps := extra.get("steps")) is not None:
        found.append(f"{number_of(steps, 'step')} {'was' if steps == 1 else 'were'} taken.")
    if floor := extra.get("utility_floor"):
        found.append(_floor(floor))
    if undone := extra.get("undone"):
        which = "One of them was" if len(undone) == 1 else f"{len(undone)} of them were"
        found.append(f"{which} undone, as the model diverged, and the learning rate was lowered.")
    return found


def _floor(figures: Mapping[str, Any]) -> str:
    asked = f"Utility of a few rows was to stay at or above {figures['least']:.3f}"
    if figures["last"] >= figures["least"]:
        return f"{asked}; it was {figures['last']:.3f} at the end."
    if not figures["kept_step"]:
        return f"{asked}; it was {figures['last']:.3f} at the end, and below it at every measure."
    return (
        f"{asked}; it was {figures['last']:.3f} at the end, and the model is that of step {figures['kept_step']}, "
        f"with {figures['kept']:.3f}."
    )


def _trained(options: Mapping[str, Any]) -> list[str]:
    rank = options.get("lora_rank")
    if rank:
        return [f"An adapter (LoRA) of rank {rank} was trained; the model's own weights are untouched."]
    return ["All weights were trained."] if "lora_rank" in options else []
