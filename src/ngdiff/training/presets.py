"""`--preset`: several options under one name."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass
from typing import Any

from ngdiff.errors import InputError
from ngdiff.option import check_choice, dashed


@dataclass(frozen=True, slots=True)
class Preset:
    """Values of options.

    Args:
        values: Name of an option -> its value, as it would be given.
        excludes: Name of an option that contradicts the preset -> why.
        formula: What it makes of a run, in one line.
        source: Where it comes from.
    """

    values: Mapping[str, Any]
    excludes: Mapping[str, str]
    formula: str
    source: str


PRESETS: dict[str, Preset] = {
    "paper": Preset(
        {
            "method": "ngdiff",
            "learning_rate": "auto:0.0001",
            "autolr_interval": 10,
            "autolr_search": False,
            "autolr_batch": "same",
            "autolr_max_change": float("inf"),
            "autolr_inertia": 0.0,
            "autolr_widen": False,
            "forget_ceiling": "none",
            "train_sampling_strategy": "random",
        },
        {"optimizer": "it is Algorithm 1, which finds the learning rate from the retain loss"},
        "Algorithm 1 as printed: NGDiff, a parabola of the retain loss every 10 steps",
        "NGDiff, Algorithm 1, Remarks 3.1 and 3.2",
    ),
}


def preset_values(name: str, given: Mapping[str, Any], named: Collection[str]) -> tuple[dict[str, Any], list[str]]:
    """What a preset sets: all of its options that were not given.

    Args:
        name: Of the preset.
        given: Values of all options.
        named: Those that the user gave.

    Returns:
        Name -> value; and a line for each given option in which the run is not the preset's.

    Raises:
        InputError: no such preset, or an option that contradicts it.

    Example:
        >>> values, other = preset_values("paper", {"autolr_inertia": 0.9}, ["autolr_inertia"])
        >>> "autolr_inertia" in values, values["forget_ceiling"], other
        (False, 'none', ['--autolr-inertia 0.9 in place of 0.0'])
    """
    check_choice("--preset", name, PRESETS)
    preset = PRESETS[name]
    for option, reason in preset.excludes.items():
        if given.get(option) is not None:
            raise InputError(f"--preset {name} with {dashed(option)} {given[option]}: {reason}; leave out one of them")
    values = {option: value for option, value in preset.values.items() if option not in named}
    other = [
        f"{dashed(option)} {given[option]} in place of {value}"
        for option, value in preset.values.items()
        if option in named and _as_number(given[option]) != _as_number(value)
    ]
    return values, other


def _as_number(value: Any) -> Any:
    """A number as such, however it is written; anything else as it is."""
    text = str(value)
    try:
        return text.startswith("auto:"), float(text.removeprefix("auto:"))
    except ValueError:
        return text
