"""One row for each weighting. A weighting without a row here fails `test_every_weighting_has_a_case`."""

import math
from dataclasses import dataclass
from typing import Any

from ngdiff.core import Gramian


@dataclass(frozen=True)
class Case:
    """Expected properties of a weighting.

    Args:
        closed_form: `Gramian -> (w_r, w_f)`, written independently.
        parameters: Given to the weighting.
        scale_free: Whether the step is the same when one gradient is rescaled.
        pareto: Whether neither minimised loss rises to first order, for every pair of gradients.
    """

    closed_form: Any
    parameters: dict[str, Any]
    scale_free: bool
    pareto: bool


def _ngdiff(k: Gramian) -> tuple[float, float]:
    return 1 / math.sqrt(k.a), 1 / math.sqrt(k.b)


CASES: dict[str, list[Case]] = {
    "ngdiff": [Case(_ngdiff, {}, scale_free=True, pareto=True)],
    "gdiff": [
        Case(lambda k: (0.5, 0.5), {}, scale_free=False, pareto=False),
        Case(lambda k: (0.9, 0.1), {"c": 0.9}, scale_free=False, pareto=False),
        Case(lambda k: (1.0, 0.0), {"c": 1.0}, scale_free=False, pareto=False),
    ],
    "gd": [Case(lambda k: (1.0, 0.0), {}, scale_free=False, pareto=False)],
    "ga": [Case(lambda k: (0.0, 1.0), {}, scale_free=False, pareto=False)],
}
