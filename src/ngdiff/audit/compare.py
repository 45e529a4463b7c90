"""Comparison of what attacks recover from a model and from the reference: numbers, no texts."""

from collections.abc import Mapping, Sequence
from typing import Any

from ngdiff.audit.base import Variant
from ngdiff.metrics.distance import distance
from ngdiff.metrics.robustness import beyond, chance, differences, robustness
from ngdiff.metrics.row_values import row_values

Forms = Mapping[str, Variant]
Records = Sequence[Mapping[str, Any]]


def compared(
    own: Forms,
    reference: Forms | None,
    *,
    before: Mapping[str, Mapping[str, Any]] | None = None,
    confidence: float = 0.95,
    seed: int = 0,
) -> dict[str, Any]:
    """The numbers of one attack.

    Keys: `forms`: {name: {`n`, `model`, `reference`, `beyond`: {measure: {`value`, `interval`, `n`}}, `distance`}};
    with a reference also `comes_back`, the largest mean difference, at least 0 (`ngdiff.metrics.robustness`), `worst`:
    {`form`, `measure`, `value`, `interval`} of that difference, `chance` (`ngdiff.metrics.robustness.chance`), and
    `certain`: whether `chance` is at most `1 - confidence`. Each interval is for a single form.

    Args:
        own, reference: Results of one attack, with the same forms.
        before: Records of the model before unlearning by origin, which give the unit of D; None for no D.
        confidence: Level of the intervals.
        seed: Of their draws.
    """
    result: dict[str, Any] = {"forms": {name: _alone(variant) for name, variant in own.items()}}
    if reference is None:
        return result
    found: list[dict[str, Any]] = []
    all_differences: list[list[float]] = []
    for name, variant in own.items():
        form, other = result["forms"][name], reference[name]
        form["reference"] = _numbers(other)
        for measure in variant.leaks:
            both = variant.leaks[measure], other.leaks.get(measure, [])
            more = beyond(*both, confidence=confidence, seed=seed)
            if more is not None:
                all_differences.append(differences(*both))
                form.setdefault("beyond", {})[measure] = more._asdict()
                found.append({"form": name, "measure": measure, "value": more.value, "interval": more.interval})
        if before:
            form["distance"] = _distance(variant.records, other.records, before, confidence, seed)
    if found:
        worst = max(found, key=lambda one: one["value"])
        result["comes_back"], result["worst"] = max(0.0, worst["value"]), worst
        result["chance"] = chance(all_differences, seed=seed)
        result["certain"] = result["chance"] <= 1 - confidence
    return result


def summary(attacks: Mapping[str, Mapping[str, Any]]) -> float | None:
    """Robustness over the attacks that were compared with a reference; None without any."""
    return robustness({name: own["comes_back"] for name, own in attacks.items() if "comes_back" in own})


def _alone(variant: Variant) -> dict[str, Any]:
    return {"n": max(map(len, variant.leaks.values()), default=0), "model": _numbers(variant)}


def _numbers(variant: Variant) -> dict[str, Any]:
    known = {name: [value for value in values if value == value] for name, values in variant.leaks.items()}
    return {name: sum(values) / len(values) for name, values in known.items() if values} | variant.shown


def _distance(
    own: Records, reference: Records, before: Mapping[str, Mapping[str, Any]], confidence: float, seed: int
) -> dict[str, Any] | None:
    """D of the measured rows against the reference under the same attack; None if `before` lacks one of them."""
    then = [before.get(str(record["origin"])) for record in own]
    if len(own) < 2 or None in then:
        return None
    models = [row_values({"forget": records}) for records in (own, reference, [one for one in then if one])]
    found = distance(*models, confidence=confidence, seed=seed)
    return {"value": found.value, "noise": found.noise}
