"""D, the distance of the forget rows from rows never seen: 1 before unlearning, 0 as if they had never been seen.

The input is plain arrays with one number for each row (`RowValues`), so that D can also be computed during training;
`ngdiff.metrics.row_values` makes them from records. With `v_k` the value of measure k on the forget rows and `r_k` its
reference value, that of rows never seen,

    d_k = (v_k - r_k) / (v_k - r_k of the model before unlearning),        D = mean_k |d_k|

`d_k` is 1 before unlearning, 0 at the reference, and negative beyond it (over-forgetting). It is not clipped: a loss of
70 nats where the reference is 8 is no success. The measures are `MEANS`, over the forget rows, and `AREAS`, the AUC of
attacks that distinguish forget rows from holdout rows, which none of the models saw.

The reference is a model retrained without the forget rows (`distance`, the ground truth), or holdout rows on the same
model (`distance_from_holdout`, which needs no retraining).
"""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from ngdiff.metrics.draws import DRAWS, Array, Seed, blocks, dirichlet
from ngdiff.metrics.levels import check_confidence
from ngdiff.metrics.row_statistics import AREAS, MEASURES, RowStatistics, RowValues, Statistic, Weights

__all__ = ["Distance", "Part", "RowValues", "distance", "distance_from_holdout"]

CONFIDENCE = 0.95
_LEAST = 1e-9  # a smaller unit is a rounding error
_NOW, _BEFORE, _RETRAINED, _BASE = "the model", "the model before", "the retrained model", "the base model"


class Part(NamedTuple):
    """One measure: `now`, its value on the forget rows; `reference`, its value on rows never seen.

    `before`: its value on the forget rows before unlearning; `value`: `d_k`. Both are None without the model before;
    `value` is also None if the values before and at the reference do not differ significantly.
    """

    now: float
    reference: float
    before: float | None = None
    value: float | None = None


class Distance(NamedTuple):
    """D and its parts.

    `value`: D; None if no measure has a unit. `noise`: the error of D due to the choice of rows, at the requested
    confidence level; a D that is no larger does not differ significantly from 0; None if the units are too uncertain.
    `parts`: by measure; those with a `value` enter D. `left_out`: measures that do not enter D, and why. `uncorrected`:
    measures whose holdout reference is used without correction, because no base model shows how forget and holdout
    rows differ on a model that saw neither.
    """

    value: float | None
    noise: float | None
    parts: dict[str, Part]
    left_out: dict[str, str]
    uncorrected: tuple[str, ...] = ()

    @property
    def interval(self) -> tuple[float, float] | None:
        """`[max(0, D - noise), D + noise]`; None without D."""
        if self.value is None or self.noise is None:
            return None
        return max(0.0, self.value - self.noise), self.value + self.noise


def distance(
    now: RowValues,
    retrained: RowValues,
    before: RowValues | None = None,
    *,
    confidence: float = CONFIDENCE,
    seed: Seed = 0,
    draws: int = DRAWS,
) -> Distance:
    """D against a model that never saw the forget rows: the ground truth.

    A measure is left out if the confidence interval of its unit, before minus retrained, contains 0. This does not
    depend on `now`, so that D uses the same measures for several runs. Without `before` there are no units and no D.

    Noise: a Bayesian bootstrap (Rubin 1981) gives the rows random weights, the same for all models and measures, and
    so draws `d*_k`. The error of D is at most `mean_k |d*_k - d_k|` (triangle inequality); the noise is the quantile of
    that bound at `confidence`. A percentile interval would never contain 0: every draw of a mean of magnitudes is
    positive. The noise does not cover the variation between training seeds.

    Args:
        now, retrained, before: Values of the same rows in the same order. AUC need holdout rows of all of them.
        confidence: Level of the noise, and of the intervals of the units.
        seed: Of the draws.
        draws: Their number.

    Raises:
        InputError: as `RowStatistics`; a confidence level out of range.

    >>> before, retrained = RowValues({"loss": [0.0, 0.1, 0.2]}), RowValues({"loss": [4.0, 4.1, 4.2]})
    >>> found = distance(RowValues({"loss": [2.0, 2.1, 2.2]}), retrained, before)
    >>> round(found.value, 6), found.left_out["truth_ratio"][:42]
    (0.5, 'no truth_ratio of forget rows of the model')
    """
    models = {_NOW: now, _RETRAINED: retrained, **({} if before is None else {_BEFORE: before})}
    rows = RowStatistics(models)
    measures: dict[str, _Measure] = {}
    left_out: dict[str, str] = {}
    for name in MEASURES:
        if why := rows.lacking(name, list(models)):
            left_out[name] = why
            continue
        of = {model: rows.statistic(name, model, list(models)) for model in models}
        measures[name] = _Measure(*((of[model], of[_RETRAINED]) for model in (_NOW, _BEFORE) if model in of))
    return _distance(measures, left_out, rows.sizes, confidence, seed, draws)


def distance_from_holdout(
    now: RowValues,
    before: RowValues | None = None,
    base: RowValues | None = None,
    *,
    confidence: float = CONFIDENCE,
    seed: Seed = 0,
    draws: int = DRAWS,
) -> Distance:
    """D against holdout rows on the same model: needs no retrained model.

    The reference of a model is the value on its own holdout rows, `r_k = h_k`, and 0.5 for an AUC. The two sets may
    differ even for a model that saw neither. With such a model, `base` (for example that before fine-tuning), the
    reference is corrected: `r_k = h_k + f_k(base) - h_k(base)`, clipped to [0, 1] (a loss: to at least 0), and for an
    AUC that of the base model instead of 0.5.

    A ruined model treats both sets alike and has a small D: read D together with Utility and the change of loss on
    holdout rows (`ngdiff.metrics.collateral`).

    Args:
        now, before, base: Values of the same forget and holdout rows in the same order.
        confidence, seed, draws: As in `distance`; forget and holdout rows get independent weights.

    Raises:
        InputError: as `distance`.

    >>> now = RowValues({"verbmem": [0.2, 0.3, 0.1]}, {"verbmem": [0.2, 0.3, 0.4]})
    >>> before = RowValues({"verbmem": [1.0, 1.0, 1.0]}, {"verbmem": [0.1, 0.2, 0.3]})
    >>> round(distance_from_holdout(now, before).value, 6)  # |0.2 - 0.3| / |1.0 - 0.2|
    0.125
    """
    models = {_NOW: now, **({} if before is None else {_BEFORE: before})}
    rows = RowStatistics({**models, **({} if base is None else {_BASE: base})})
    measures: dict[str, _Measure] = {}
    left_out: dict[str, str] = {}
    uncorrected = []
    for name in MEASURES:
        if why := rows.lacking(name, list(models), of_holdout=True):
            left_out[name] = why
            continue
        compared = list(models)
        if base is not None and not rows.lacking(name, [*models, _BASE], of_holdout=True):
            compared.append(_BASE)
        else:
            uncorrected.append(name)
        measures[name] = _Measure(
            *((rows.statistic(name, model, compared), _own_reference(rows, name, model, compared)) for model in models)
        )
    return _distance(measures, left_out, rows.sizes, confidence, seed, draws)._replace(uncorrected=tuple(uncorrected))


class _Measure(NamedTuple):
    """Values of forget rows and of their reference, for the model now and before unlearning."""

    now: tuple[Statistic, Statistic]
    before: tuple[Statistic, Statistic] | None = None


def _own_reference(rows: RowStatistics, name: str, model: str, compared: list[str]) -> Statistic:
    """The value of the model's holdout rows, corrected if the base model is among those compared."""
    if name in AREAS:
        if _BASE in compared:
            return rows.statistic(name, _BASE, compared)
        return lambda weights: np.full(len(weights[0]), 0.5)
    holdout = rows.statistic(name, model, compared, "holdout")
    if _BASE not in compared:
        return holdout
    base_forget, base_holdout = (rows.statistic(name, _BASE, compared, side) for side in ("forget", "holdout"))
    most = np.inf if name == "loss" else 1.0
    return lambda weights: np.clip(holdout(weights) + base_forget(weights) - base_holdout(weights), 0.0, most)


def _distance(
    measures: Mapping[str, _Measure],
    left_out: dict[str, str],
    sizes: Mapping[str, int],
    confidence: float,
    seed: Seed,
    draws: int,
) -> Distance:
    check_confidence(confidence)
    n, m = sizes["forget"], sizes["holdout"]
    rng = np.random.default_rng(seed)
    drawn: dict[str, list[tuple[Array, Array]]] = {name: [] for name in measures}
    for part in blocks(draws, n + m):
        size = part.stop - part.start
        weights = dirichlet(n, size, rng), dirichlet(m, size, rng)
        for name, measure in measures.items():
            if measure.before is not None:
                drawn[name].append((_gap(measure.now, weights), _gap(measure.before, weights)))
    parts: dict[str, Part] = {}
    errors = []
    even = np.ones((1, n)), np.ones((1, m))
    for name, measure in measures.items():
        now, reference = (float(one(even)[0]) for one in measure.now)
        parts[name] = Part(now, reference)
        if measure.before is None:
            left_out[name] = f"no unit: no records of {_BEFORE}"
            continue
        before = float(measure.before[0](even)[0])
        unit = float(_gap(measure.before, even)[0])
        gaps, units = (np.concatenate(both) for both in zip(*drawn[name], strict=True))
        low, high = np.quantile(units, [(1 - confidence) / 2, (1 + confidence) / 2])
        if low <= 0 <= high or abs(unit) < _LEAST:
            parts[name] = Part(now, reference, before)
            left_out[name] = f"{_BEFORE} and rows never seen cannot be told apart"
            continue
        value = (now - reference) / unit
        parts[name] = Part(now, reference, before, value)
        with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
            errors.append(np.nan_to_num(np.abs(gaps / units - value), nan=np.inf))
    values = [abs(part.value) for part in parts.values() if part.value is not None]
    if not values:
        return Distance(None, None, parts, left_out)
    noise = float(np.quantile(np.mean(errors, axis=0), confidence, method="higher"))
    return Distance(float(np.mean(values)), noise if np.isfinite(noise) else None, parts, left_out)


def _gap(pair: tuple[Statistic, Statistic], weights: Weights) -> Array:
    return pair[0](weights) - pair[1](weights)
