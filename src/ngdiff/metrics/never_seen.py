"""Entries of `metrics.json` on the distance from a model that never saw the rows, and on collateral."""

from typing import Any

from ngdiff.metrics.collateral import PROTECTED, collateral, collateral_interval
from ngdiff.metrics.distance import CONFIDENCE, Distance, distance, distance_from_holdout
from ngdiff.metrics.probability import has_likelihood
from ngdiff.metrics.records import Sets
from ngdiff.metrics.row_statistics import SIDES
from ngdiff.metrics.row_values import base_row_values, row_values
from ngdiff.metrics.same_rows import same_rows


def never_seen(
    sets: Sets,
    *,
    retrained: Sets | None = None,
    before: Sets | None = None,
    base: Sets | None = None,
    confidence: float | None = None,
    seed: int = 0,
) -> tuple[dict[str, Any], dict[str, Any]]:
    """Numbers and their intervals, by key of `metrics.json`:

    - `distance`, `distance_holdout`: D against the retrained model and against the model's own holdout rows
      (`ngdiff.metrics.distance`), if there are at least two rows to compare: {`value`, `noise`,
      `parts`: {measure: {`now`, `reference`, `before`, `value`}}, `left_out`: {measure: why},
      `uncorrected`: [measure, ...]};
    - `collateral`: {set: change of its loss since before}, for the `PROTECTED` sets, except holdout images of the class
      that is to be forgotten.

    Args:
        sets: Records of the model.
        retrained: Records of a model that never saw the forget set.
        before: Records of the model before unlearning.
        base: Records of a model that saw neither the forget nor the holdout set; by default, the `base_model` fields of
            the model's own records.

    Raises:
        InputError: records of other rows, or that a metric cannot use.
    """
    found = _distances(sets, retrained, before, base, confidence or CONFIDENCE, seed)
    numbers: dict[str, Any] = {key: _as_json(one) for key, one in found.items()}
    ends: dict[str, Any] = {key: list(one.interval) for key, one in found.items() if one.interval is not None}
    spared = [name for name in PROTECTED if name != "holdout" or not _of_one_class(sets)]
    for name in spared if before else ():
        now, then = sets.get(name, ()), (before or {}).get(name, ())
        if now and then and all(map(has_likelihood, (*now, *then))):
            then = same_rows(now, then, f"collateral, by {name},", "the one before")
            numbers.setdefault("collateral", {})[name] = collateral(now, then)
            if confidence is not None and len(now) > 1:
                interval = collateral_interval(now, then, confidence=confidence, seed=seed)
                ends.setdefault("collateral", {})[name] = list(interval)
    return numbers, {} if confidence is None else ends


def _of_one_class(sets: Sets) -> bool:
    """Whether the images to forget and those of the holdout are of one class, which is to be forgotten as a whole."""
    labels = [{record.get("label") for record in sets.get(side, ())} for side in SIDES]
    return labels[0] == labels[1] and len(labels[0]) == 1 and None not in labels[0]


def _distances(
    sets: Sets, retrained: Sets | None, before: Sets | None, base: Sets | None, confidence: float, seed: int
) -> dict[str, Distance]:
    own = {side: sets[side] for side in SIDES if len(sets.get(side, ())) > 1}
    if "forget" not in own:
        return {}
    given = {"the retrained one": retrained, "the one before": before, "the base model": base}
    others = [row_values(_aligned(own, other, model)) if other else None for model, other in given.items()]
    values, (truth, unit, saw_neither) = row_values(own), others
    found = {}
    if truth is not None and retrained and retrained.get("forget"):
        found["distance"] = distance(values, truth, unit, confidence=confidence, seed=seed)
    if "holdout" in own:
        saw_neither = base_row_values(own) if saw_neither is None else saw_neither
        found["distance_holdout"] = distance_from_holdout(values, unit, saw_neither, confidence=confidence, seed=seed)
    return found


def _aligned(sets: Sets, other: Sets, model: str) -> Sets:
    """The other model's records of these sets, in the order of `sets`."""
    return {
        side: same_rows(own, other[side], f"the distance from never seen, by {side},", model)
        for side, own in sets.items()
        if other.get(side)
    }


def _as_json(found: Distance) -> dict[str, Any]:
    return {
        "value": found.value,
        "noise": found.noise,
        "parts": {name: part._asdict() for name, part in found.parts.items()},
        "left_out": found.left_out,
        "uncorrected": list(found.uncorrected),
    }
