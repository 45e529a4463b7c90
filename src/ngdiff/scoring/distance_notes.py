"""Notes on D below a table: measures left out, missing units, and the run with the smallest D."""

from collections.abc import Mapping
from typing import Any

from ngdiff.metrics.row_statistics import MEASURES
from ngdiff.scoring.quantities import DISTANCES, Metrics, at, shown, shown_interval

# Images have one label and no answer.
_OF_TEXTS = frozenset(MEASURES) - {"probability", "loss", "auc_loss"}


def measures_left_out(metrics: Metrics, key: str) -> dict[str, Any]:
    """The measures that a D leaves out, and why; of images, without those that only texts have.

    Args:
        metrics: Of one evaluation.
        key: Of D, as in `DISTANCES`.

    >>> found = {"loss": "no holdout rows", "verbmem": "no verbmem of forget rows"}
    >>> measures_left_out({"forget": {"accuracy": 0.5}, "distance": {"left_out": found}}, "distance")
    {'loss': 'no holdout rows'}
    """
    found = _mapping(at(metrics, (key, "left_out")))
    images = at(metrics, ("forget", "accuracy")) is not None
    return {name: why for name, why in found.items() if not (images and name in _OF_TEXTS)}


def distance_notes(metrics: Metrics) -> list[str]:
    """Notes on each D of one evaluation: measures left out and why, missing units, uncorrected measures.

    >>> found = {"value": None, "left_out": {"loss": "no unit: no records of the model before"}}
    >>> print(*distance_notes({"distance": found}))
    note: no D (retrained), whose unit is the model before unlearning (--before); differences: --output, distance.parts
    """
    notes = []
    for key, title in DISTANCES.items():
        found = at(metrics, (key,))
        if not isinstance(found, Mapping):
            continue
        left_out = measures_left_out(metrics, key)
        unitless = [name for name, why in left_out.items() if str(why).startswith("no unit")]
        if unitless:
            notes.append(
                f"note: no {title}, whose unit is the model before unlearning (--before); differences: --output, "
                f"{key}.parts"
            )
            continue
        reasons = dict.fromkeys(map(str, left_out.values()))
        for why in reasons:
            names = ", ".join(name for name, own in left_out.items() if own == why)
            notes.append(f"note: {title} leaves out {names}: {why}")
        if found.get("value") is not None and (uncorrected := found.get("uncorrected")):
            notes.append(
                f"note: {title} assumes that forget and holdout rows are alike in {', '.join(map(str, uncorrected))}; "
                "a model that saw neither corrects for a difference (--base)"
            )
    return notes


def nearest_notes(runs: Mapping[str, Metrics]) -> list[str]:
    """The run with the smallest D, for each kind of D, and runs whose D uses other measures.

    >>> runs = {name: {"distance": {"value": value}} for name, value in (("a", 0.44), ("b", 0.17))}
    >>> print(*nearest_notes(runs))
    note: nearest to never seen by D (retrained): b, 0.1700
    """
    notes = []
    for key, title in DISTANCES.items():
        known = {name: value for name, run in runs.items() if (value := at(run, (key, "value"))) is not None}
        if len(known) < 2:
            continue
        name = min(known, key=known.__getitem__)
        ends = at(runs[name], ("confidence", key))
        interval = "" if ends is None else f" {shown_interval(ends)}"
        notes.append(f"note: nearest to never seen by {title}: {name}, {shown(float(known[name]))}{interval}")
        measures = {run: frozenset(_mapping(at(runs[run], (key, "left_out")))) for run in known}
        others = [run for run, own in measures.items() if own != measures[name]]
        if others:
            notes.append(
                f"note: {title} of {', '.join(others)} uses other measures than that of {name}: they are not comparable"
            )
    return notes


def _mapping(found: Any) -> Mapping[str, Any]:
    return found if isinstance(found, Mapping) else {}
