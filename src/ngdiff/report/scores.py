"""The numbers of a model, compared with those of the model before unlearning and of one that never saw the rows."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ngdiff.metrics import CONFIDENCE
from ngdiff.metrics.never_seen import never_seen
from ngdiff.report.folders import Evaluation
from ngdiff.scoring import read_sets
from ngdiff.scoring.quantities import DISTANCES, at


@dataclass(frozen=True)
class Others:
    """Evaluations that a model is compared with.

    Attributes:
        before: Of the model before unlearning.
        retrained: Of one that never saw the forget rows.
        base: Of one that saw neither forget nor holdout rows.
    """

    before: Evaluation | None = None
    retrained: Evaluation | None = None
    base: Evaluation | None = None

    def given(self) -> dict[str, Evaluation]:
        """Those that there are, by role."""
        return {role: one for role, one in vars(self).items() if one is not None}


def with_never_seen(evaluation: Evaluation, others: Others) -> tuple[Mapping[str, Any], list[str]]:
    """The metrics with D and collateral against the others, from records; and notes if they cannot be computed.

    Without others, or where one of them has no records, D is what `metrics.json` says.

    Raises:
        InputError: records that are damaged, or of other rows.
    """
    given, own = others.given(), evaluation.metrics
    known = [title for key, title in DISTANCES.items() if at(own, (key, "value")) is not None]
    if not given.keys() & {"before", "retrained"}:
        return own, [_as_found(known)] if known else []
    lacking = [str(one.folder) for one in (evaluation, *given.values()) if not one.has_records]
    if lacking:
        notes = [f"D was not computed: there are no records in {', '.join(lacking)}."]
        return own, [*notes, *([_as_found(known)] if known else [])]
    level = at(own, ("confidence", "level"))
    seed = at(own, ("confidence", "seed"))
    sets = {role: read_sets([one.folder]) for role, one in given.items()}
    numbers, ends = never_seen(read_sets([evaluation.folder]), confidence=level or CONFIDENCE, seed=seed or 0, **sets)
    rest = {key: value for key, value in own.items() if key not in (*DISTANCES, "collateral")}
    return {**rest, **numbers, "confidence": {"level": CONFIDENCE, **own.get("confidence", {}), **ends}}, []


def _as_found(known: list[str]) -> str:
    return f"{' and '.join(known)}: as metrics.json has it, which does not say what it was compared with."
