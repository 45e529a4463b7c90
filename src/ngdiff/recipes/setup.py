"""Setups: how a data set is used at a scale, from the paper's own runs to a model that a laptop trains in seconds."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from ngdiff.recipes.recipe import read_yaml


@dataclass(frozen=True)
class Setup:
    """A data set at a scale.

    Attributes:
        like: The model of the paper whose numbers stand beside those of a model of another name.
        rate: The fixed learning rate of methods without AutoLR.
        rates: Those of figures that compare rates.
        target: Options of `ngdiff finetune` for the model that forgets.
        options: Of `ngdiff unlearn`, for all runs.
        models: Name -> folder, hub name or shape; empty if the user has to name one.
        rows: How much of the data is used; empty for all.
    """

    like: str
    rate: float
    rates: Sequence[float]
    target: Mapping[str, Any]
    options: Mapping[str, Any]
    models: Mapping[str, str] = field(default_factory=dict)
    rows: Mapping[str, int] = field(default_factory=dict)


def read_setup(data: str, scale: str) -> Setup:
    """The setup of a data set at a scale.

    >>> read_setup("tofu", "tiny").models
    {'llama-micro': 'llama-micro'}
    """
    whole = read_yaml("setups")[data]
    own = {**whole[scale]}
    options = {**whole["options"], **own.pop("options", {})}
    return Setup(**own, options={"learning_rate": own["rate"], **options})
