"""Means and AUC of several models over the same rows, as functions of the rows' weights."""

from collections.abc import Callable, Mapping, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import ArrayLike, NDArray

from ngdiff.errors import InputError
from ngdiff.metrics.auc import weighted_auc

# Means over rows; of "loss" the token mean where rows say how many "n_tokens" they have.
MEANS = ("verbmem", "probability", "loss", "extraction_strength", "exact_memorisation", "truth_ratio")
# AUC of forget rows, as members, against holdout rows by these values; lower is more like a member.
AREAS = {"auc_loss": "loss", "auc_min-20%": "min-20%"}
MEASURES = {**{name: name for name in MEANS}, **AREAS}  # measure -> the values that it is taken of
VALUES = (*MEANS, "min-20%", "n_tokens")
SIDES = ("forget", "holdout")

_MOST = 1e250  # sums and quotients of more would not be numbers

Array = NDArray[np.float64]
Weights = tuple[Array, Array]  # of the forget and of the holdout rows; one row for each draw
Statistic = Callable[[Weights], Array]


class RowValues(NamedTuple):
    """What one model shows: by name of `VALUES` one number for each row of the forget and of the holdout set.

    NaN: the row has no such value; the measure leaves it out in all models. Rows stand in the same order in all models.
    "loss" and "min-20%" are in nats per token, "verbmem" is ROUGE-L recall, "truth_ratio" `min(R, 1/R)`, all as in
    `ngdiff.metrics`. What a model lacks is not there: a name, or the whole holdout set.
    """

    forget: Mapping[str, ArrayLike]
    holdout: Mapping[str, ArrayLike] = {}


class RowStatistics:
    """The values of several models over the same rows, checked.

    Args:
        models: by the name that messages use.

    Raises:
        InputError: values with another name, infinite or near it, or of other numbers of rows; one row only.
    """

    def __init__(self, models: Mapping[str, RowValues]) -> None:
        self._values = {
            model: {side: _arrays(getattr(own, side), f"{side} rows of {model}") for side in SIDES}
            for model, own in models.items()
        }
        self.sizes = {side: self._size(side) for side in SIDES}

    def lacking(self, measure: str, models: Sequence[str], *, of_holdout: bool = False) -> str:
        """What is missing for a measure of these models, in words; empty where nothing is.

        Args:
            of_holdout: it is taken of the holdout rows, too.
        """
        value = MEASURES[measure]
        sides = SIDES if of_holdout or measure in AREAS else SIDES[:1]
        missing = [f"{side} rows of {model}" for model in models for side in sides if not self._has(model, side, value)]
        if missing:
            return f"no {value} of {', '.join(missing)}"
        few = [side for side in sides if self._shared(value, side, models).sum() < 2]
        return f"fewer than two {few[0]} rows have {value} in all models" if few else ""

    def statistic(self, measure: str, model: str, models: Sequence[str], side: str = "forget") -> Statistic:
        """A measure of one model over the rows that all `models` have: the mean of one side, or an AUC of both."""
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
            raise InputError(f"models are compared on the same {side} rows, and there are values of {listed}")
        size = next(iter(sizes.values()), 0)
        if size == 1:
            raise InputError(f"a distance needs at least two {side} rows, found 1")
        return size


def _arrays(values: Mapping[str, ArrayLike], place: str) -> dict[str, Array]:
    found = {}
    for name, given in values.items():
        if name not in VALUES:
            raise InputError(f"{place}: values called {name!r} are not known; one of {', '.join(VALUES)}")
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
