"""Over-forgetting: values beyond those of models that never saw the rows."""

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from ngdiff.metrics import FORGOTTEN
from ngdiff.scoring.quantities import (
    MEMBERSHIP,
    Metrics,
    Quantity,
    at,
    full_title,
    in_force,
    is_shown,
    quantities,
    shown,
)


class Beyond(NamedTuple):
    """A number beyond the intervals of all references, in the direction of forgetting."""

    quantity: Quantity
    value: float
    end: float

    def __str__(self) -> str:
        """Such as `Verbmem 0.0000 < 0.2150`."""
        sign = "<" if self.value < self.end else ">"
        return f"{full_title(self.quantity)} {shown(float(self.value))} {sign} {shown(float(self.end))}"


def is_of_forgetting(quantity: Quantity) -> bool:
    """Whether the quantity measures what is left of a forget set, so that the value of the references is the target."""
    return quantity.group in (*FORGOTTEN, MEMBERSHIP) or quantity.path == ("aggregates", "memorisation")


def over_forgotten(metrics: Metrics, references: Sequence[Metrics]) -> list[Beyond]:
    """The numbers of a run beyond the confidence intervals of all references, in the direction of forgetting: ROUGE,
    probability, memorisation and membership AUC below them, losses above.

    Truth ratios are excluded, because neither direction means more forgetting, and so are numbers without an interval.
    """
    if not references:
        return []
    evaluations = [metrics, *references]
    found = []
    for quantity in filter(is_shown, in_force(quantities(evaluations), evaluations)):
        value = quantity.value(metrics)
        ends = [at(reference, quantity.interval) for reference in references]
        if value is None or not is_of_forgetting(quantity) or "truth_ratio" in quantity.path[-1] or None in ends:
            continue
        if quantity.better == "higher" and value > (most := max(high for _, high in ends)):
            found.append(Beyond(quantity, value, most))
        elif quantity.better != "higher" and value < (least := min(low for low, _ in ends)):
            found.append(Beyond(quantity, value, least))
    return found


def over_forgotten_notes(runs: Mapping[str, Metrics], references: Mapping[str, Metrics]) -> list[str]:
    """Notes below a table: which runs are over-forgotten, and by which numbers, or that this is unknown.

    >>> made = {"level": 0.95, "sets": {"forget": {"loss": [2, 5]}}}
    >>> retrained = {"forget": {"n": 9, "loss": 3.0}, "confidence": made}
    >>> print(*over_forgotten_notes({"ngdiff": {"forget": {"n": 9, "loss": 13.8}}}, {"retrained": retrained}))
    note: ngdiff is over-forgotten, beyond the 95 % interval of retrained: loss (forget) 13.8000 > 5.0000
    """
    if not references:
        return []
    named = ", ".join(references)
    levels = [at(reference, ("confidence", "level")) for reference in references.values()]
    if not all(isinstance(level, int | float) for level in levels):
        return [f"note: {named}: no confidence intervals, so over-forgetting is unknown; ngdiff score adds them"]
    shown_levels = " and ".join(dict.fromkeys(f"{100 * level:g} %" for level in levels))
    notes = []
    for name, metrics in runs.items():
        found = over_forgotten(metrics, list(references.values()))
        if found:
            numbers = "; ".join(map(str, found))
            notes.append(f"note: {name} is over-forgotten, beyond the {shown_levels} interval of {named}: {numbers}")
    return notes
