"""How a run differs from an earlier one, in the options that were typed."""

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from ngdiff.cli.near_names import SHORT
from ngdiff.option import dashed
from ngdiff.training.trainer_fields import TrainerFields

_SHORT = {short: name for name, short in SHORT.items()} | {"objective": "forget_objective"}


def typed_options(words: Iterable[str]) -> dict[str, str]:
    """Name of each option of a command line -> the option as it stands there.

    >>> typed_options(["--lr=1e-4", "--batch-size", "4", "--no-generate"])
    {'learning_rate': '--lr', 'per_device_train_batch_size': '--batch-size', 'generate': '--no-generate'}
    """
    given = (word.partition("=")[0] for word in words if word.startswith("--"))
    found = {}
    for option in given:
        name = option.removeprefix("--").replace("-", "_").removeprefix("no_")
        found[_SHORT.get(name, name)] = option
    return found


def first_difference(
    names: Iterable[str],
    then: Mapping[str, Any],
    now: Mapping[str, Any],
    *,
    words_then: Sequence[str],
    words_now: Sequence[str],
) -> str:
    """How two runs differ in the first of some options whose values are not the same; empty if there is none.

    Options that were typed come first: they may set others, as `--preset` does.

    Args:
        names: Of the options.
        then, now: All options of both runs, by name.
        words_then, words_now: Their command lines.
    """
    typed = {**typed_options(words_then), **typed_options(words_now)}
    differing = sorted(name for name in names if then.get(name) != now.get(name))
    if not differing:
        return ""
    name = min(differing, key=lambda name: name not in typed)  # the first, if none was typed
    return said_of(typed.get(name, dashed(name)), _value(then, name), _value(now, name))


def said_of(option: str, then: Any, now: Any) -> str:
    """What an option was and is, behind the run that it was an option of.

    >>> said_of("--method", "auto", "npo"), said_of("--preset", None, "paper")
    ('has --method auto, not npo', 'was begun without --preset paper')
    >>> said_of("--no-generate", True, False), said_of("--grad-norm", True, False)
    ('was begun without --no-generate', 'was begun with --grad-norm')
    """
    if isinstance(then, bool) or isinstance(now, bool):
        return f"was begun {'with' if bool(then) != option.startswith('--no-') else 'without'} {option}"
    if then is None:
        return f"was begun without {option} {now}"
    if now is None:
        return f"was begun with {option} {then}"
    return f"has {option} {then}, not {now}"


def _value(settings: Mapping[str, Any], name: str) -> Any:
    """The value in a run: an inherited option that is not among its options has its default."""
    return settings[name] if name in settings else getattr(TrainerFields, name, None)
