"""Means and AUC of several models over the same rows, as functions of row weights."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ngdiff.errors import InputError
from ngdiff.metrics.auc import weighted_auc
from ngdiff.metrics.draws import Array

# Means over rows; for "loss", the token mean if "n_tokens" is given.
MEANS = ("verbmem", "probability", "loss", "extraction_strength", "exact_memorisation", "truth_ratio")
# AUC of forget rows, as members, against holdout rows by these values; lower values indicate membership.
AREAS = {"auc_loss": "loss", "auc_min-20%": "min-20%"}
MEASURES = {**{name: name for name in MEANS}, **AREAS}  # measure -> the values it is computed from
VALUES = (*MEANS, "min-20%", "n_tokens")
SIDES = ("forget", "holdout")

_MOST = 1e250  # sums and quotients of larger values would overflow

Weights = tuple[Array, Array]  # for the forget and the holdout rows, shape (draws, rows)
Statistic = Callable[[Weights], Array]


class RowValues(NamedTuple):
    """Values of one model: for each name of `VALUES`, one number for each row of the forget and of the holdout set.

    NaN: the row has no such value; the measure then omits it in all models. Rows have the same order in all models.
    "loss" and "min-20%" are in nats per token, "verbmem" is ROUGE-L recall, "truth_ratio" is `min(R, 1/R)`, all as in
    `ngdiff.metrics`. A name, or the whole holdout set, may be missing.
    """

    forget: Mapping[str, ArrayLike]
    holdout: Mapping[str, ArrayLike] = {}


class RowStatistics:
    """The validated values of several models over the same rows.

    Args:
        models: Values by the name of the model in messages.

    Raises:
        InputError: an unknown name, a value that is infinite or too large, different numbers of rows, or only one row.
    """

    def __init__(self, models: Mapping[str, RowValues]) -> None:
        self._values = {
            model: {side: _arrays(getattr(own, side), f"{side} rows of {model}") for side in SIDES}
            for model, own in models.items()
        }
        self.sizes = {side: self._size(side) for side in SIDES}

    def lacking(self, measure: str, models: Sequence[str], *, of_holdout: bool = False) -> str:
        """A description of what these models lack for a measure; empty if nothing.

        Args:
            of_holdout: The measure also needs holdout rows.
        """
        value = MEASURES[measure]
        sides = SIDES if of_holdout or measure in AREAS else SIDES[:1]
        missing = [f"{side} rows of {model}" for model in models for side in sides if not self._has(model, side, value)]
        if missing:
            return f"no {value} of {', '.join(missing)}"
        few = [side for side in sides if self._shared(value, side, models).sum() < 2]
        return f"fewer than two {few[0]} rows have {value} in all models" if few else ""

    def statistic(self, measure: str, model: str, models: Sequence[str], side: str = "forget") -> Statistic:
        """A measure of one model over the rows that all `models` have: the mean over one side, or an AUC of both."""
        if measure in AREAS:
            return self._area(AREAS[measure], model, models)
        own, kept = self._values[model][side], self._shared(measure, side, models)
        counts = own["n_tokens"] if measure == "loss" and "n_tokens" in own else np.ones(kept.size)
        values, counts, which = own[measure][kept], counts[kept], SIDES.index(side)

        def mean(weights: Weights) -> Array:
            drawn = weights[which][:, kept]
            found: Array = (drawn @ (values * counts)) / (drawn @ counts)
            return found

        return mean

    def _area(self, value: str, model: str, models: Sequence[str]) -> Statistic:
        kept = [self._shared(value, side, models) for side in SIDES]
        members, others = (self._values[model][side][value][k] for side, k in zip(SIDES, kept, strict=True))

        def area(weights: Weights) -> Array:
            w, v = (drawn[:, k] for drawn, k in zip(weights, kept, strict=True))
            found: Array = weighted_auc(members, others, w, v) / (w.sum(axis=1) * v.sum(axis=1))
            return found

        return area

    def _has(self, model: str, side: str, value: str) -> bool:
        own = self._values[model][side]
        return value in own and not np.isnan(own[value]).all()

    def _shared(self, value: str, side: str, models: Sequence[str]) -> NDArray[np.bool_]:
        """Which rows have the value in all models."""
        values = np.stack([self._values[model][side][value] for model in models])
        return np.asarray(~np.isnan(values).any(axis=0))

    def _size(self, side: str) -> int:
        sizes = {
            f"{name} of {model}": array.size for model, own in self._values.items() for name, array in own[side].items()
        }
        if len(set(sizes.values())) > 1:
            listed = ", ".join(f"{size} ({name})" for name, size in sizes.items())
            raise InputError(f"models are compared on the same {side} rows, but the numbers of values are {listed}")
        size = next(iter(sizes.values()), 0)
        if size == 1:
            raise InputError(f"a distance needs at least two {side} rows, found 1")
        return size


def _arrays(values: Mapping[str, ArrayLike], place: str) -> dict[str, Array]:
    found = {}
    for name, given in values.items():
        if name not in VALUES:
            raise InputError(f"{place}: values named {name!r} are unknown; use {', '.join(VALUES)}")
        array = np.asarray(given, dtype=float)
        if array.ndim != 1:
            raise InputError(f"{place}: {name} has {array.ndim} dimensions; it must be one number for each row")
        if (odd := np.abs(array) > _MOST).any():
            row = int(odd.argmax())
            raise InputError(f"{place}: {name} of row {row} is {array[row]:.4g}, which no model gives")
        if name == "n_tokens" and not (array > 0).all():
            raise InputError(f"{place}: n_tokens of row {int((~(array > 0)).argmax())} is not 1 or more")
        found[name] = array
    return found
