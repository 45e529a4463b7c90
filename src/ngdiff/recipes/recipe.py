"""Recipes: which runs a table or a figure of the paper needs, what it shows of them, and what the paper reports."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal

import yaml

from ngdiff.errors import InputError

FOLDER = Path(__file__).parent
NAMES = tuple(sorted(path.stem for path in FOLDER.glob("[tf]*[0-9].yaml")))
SCALES = ("paper", "small", "tiny")
# Tables and figures of the paper without a recipe -> why.
NOT_KNOWN = {
    "table5": "it holds no runs that could be repeated",
    "table6": "what the paper's Table 6 holds is not known to this project; ngdiff sweep compares any methods",
    "figure3": "it is a sketch of directions; docs/method.md draws it",
}


@dataclass(frozen=True)
class Recipe:
    """A table or a figure of the paper.

    Attributes:
        name: Such as `table1`.
        kind: What it is.
        title: What it shows.
        data: Data sets, keys of `setups.yaml`.
        variants: Rows or lines, keys of `variants.yaml`.
        at_rates: Further ones, each with every fixed learning rate of the setup.
        models: The models of the paper that it is about; empty: all.
        columns: Of a table: title -> key of a number of `metrics.json`.
        panels: Of a figure: what `ngdiff.recipes.draw` takes.
        paper: Model of the paper (with several data sets: `MODEL on DATA`) -> variant -> its numbers, as columns are.
        notes: Lines below it.
    """

    name: str
    kind: Literal["table", "figure"]
    title: str
    data: Sequence[str]
    variants: Sequence[str] = ()
    at_rates: Sequence[str] = ()
    models: Sequence[str] = ()
    columns: Mapping[str, str] = field(default_factory=dict)
    panels: Sequence[Mapping[str, Any]] = ()
    paper: Mapping[str, Mapping[str, Sequence[float]]] = field(default_factory=dict)
    notes: Sequence[str] = ()

    def runs(self, rates: Sequence[float], known: Mapping[str, Mapping[str, Any]]) -> dict[str, dict[str, Any]]:
        """Variant -> its options of `ngdiff unlearn`.

        Args:
            rates: The fixed learning rates of a setup.
            known: All variants.
        """
        own = {name: dict(known[name]) for name in self.variants}
        for name in self.at_rates:
            own |= {f"{name}-lr{rate}": {**known[name], "learning_rate": rate} for rate in rates}
        return own


def read_recipe(name: str) -> Recipe:
    """The recipe of a table or figure.

    Raises:
        InputError: there is none.
    """
    if name in NOT_KNOWN:
        raise InputError(f"{name}: {NOT_KNOWN[name]}")
    if name not in NAMES:
        raise InputError(f"{name} is no table or figure with a recipe; one of {', '.join(NAMES)}")
    return Recipe(name=name, **read_yaml(name))


def read_variants() -> dict[str, dict[str, Any]]:
    """Name of a method in a table or figure -> its options of `ngdiff unlearn`."""
    return read_yaml("variants")


def read_yaml(name: str) -> dict[str, Any]:
    """A file of this package."""
    content: dict[str, Any] = yaml.safe_load((FOLDER / f"{name}.yaml").read_text(encoding="utf-8"))
    return content
