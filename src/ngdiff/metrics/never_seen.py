"""The entries of `metrics.json` that say how near a model is to one that never saw the rows, and whom that cost."""

from collections.abc import Mapping, Sequence
from typing import Any

from ngdiff.metrics.collateral import PROTECTED, collateral, collateral_interval
from ngdiff.metrics.distance import CONFIDENCE, Distance, distance, distance_from_holdout
from ngdiff.metrics.probability import has_likelihood
from ngdiff.metrics.row_statistics import SIDES
from ngdiff.metrics.row_values import base_row_values, row_values
from ngdiff.metrics.same_rows import same_rows

Sets = Mapping[str, Sequence[Mapping[str, Any]]]


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
      (`ngdiff.metrics.distance`), each where there are two rows of what it compares: {`value`, `noise`,
      `parts`: {measure: {`now`, `reference`, `before`, `value`}}, `left_out`: {measure: why},
      `uncorrected`: [measure, ...]};
    - `collateral`: {set: change of its loss since before}, of `PROTECTED` sets.

    Args:
        sets, retrained, before, base: records of the model, of one that never saw the forget set, of that before
            unlearning, and of one that saw neither forget nor holdout set; without `base`, what the records themselves
            say of one (`base_model`).

    Raises:
        InputError: records of other rows, or that a metric cannot use.
    """
    numbers: dict[str, Any] = {}
    ends: dict[str, Any] = {}
    kept = [side for side in SIDES if len(sets.get(side, ())) > 1]
    others = {
        name: _aligned(sets, other, kept, model)
        for name, other, model in (
            ("retrained", retrained, "the retrained one"),
            ("before", before, "the one before"),
            ("base", base, "the base model"),
        )
        if other
    }
    own = row_values({side: sets[side] for side in kept})
    values = {name: row_values(other) for name, other in others.items()}
    drawn: dict[str, Any] = {"confidence": confidence or CONFIDENCE, "seed": seed}
    if "forget" in kept:
        found: dict[str, Distance] = {}
        if "forget" in others.get("retrained", ()):
            found["distance"] = distance(own, values["retrained"], values.get("before"), **drawn)
        if "holdout" in kept:
            saw_neither = values["base"] if "base" in values else base_row_values({side: sets[side] for side in kept})
            found["distance_holdout"] = distance_from_holdout(own, values.get("before"), saw_neither, **drawn)
        for key, one in found.items():
            numbers[key] = _as_json(one)
            if confidence is not None and one.interval is not None:
                ends[key] = list(one.interval)
    for name in PROTECTED if before else ():
        now, then = sets.get(name, ()), (before or {}).get(name, ())
        if not (now and then and all(map(has_likelihood, (*now, *then)))):
            continue
        then = same_rows(now, then, f"collateral, by {name},", "the one before")
        numbers.setdefault("collateral", {})[name] = collateral(now, then)
        if confidence is not None and len(now) > 1:
            interval = collateral_interval(now, then, confidence=confidence, seed=seed)
            ends.setdefault("collateral", {})[name] = list(interval)
    return numbers, ends


def _aligned(sets: Sets, other: Sets, sides: Sequence[str], model: str) -> Sets:
    """The other model's records of these sets, in the order of ours."""
    return {
        side: same_rows(sets[side], other[side], f"the distance from never seen, by {side},", model)
        for side in sides
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
