"""One row for each weighting. A weighting without a row here fails `test_every_weighting_has_a_case`."""

import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from ngdiff.core import Gramian
from ngdiff.weighting import Losses


@dataclass(frozen=True)
class Case:
    """Expected properties of a weighting.

    Args:
        closed_form: `(Gramian, Losses) -> (w_r, w_f)` in a first step, written independently. None: random.
        parameters: Given to the weighting.
        scale_free: Whether the step's direction is the same when one gradient is rescaled.
        pareto: Whether neither minimised loss rises to first order, for every pair of gradients.
        symmetric: Whether swapping the sides swaps the weights.
        quotient: Whether a weight is as large as a quotient of the norms, which may leave the range of numbers.
        negative: Whether a weight may be below 0.
    """

    closed_form: Callable[[Gramian, Losses], tuple[float, float]] | None
    parameters: dict[str, Any] = field(default_factory=dict)
    scale_free: bool = False
    pareto: bool = False
    symmetric: bool = False
    quotient: bool = False
    negative: bool = False


def _ngdiff(k: Gramian, _: Losses) -> tuple[float, float]:
    return 1 / math.sqrt(k.a), 1 / math.sqrt(k.b)


def _lossnorm(_: Gramian, losses: Losses) -> tuple[float, float]:
    w_r, w_f = 1 / abs(losses.retain), 1 / abs(losses.forget)
    return w_r / (w_r + w_f), w_f / (w_r + w_f)


def _pcgrad(k: Gramian, _: Losses) -> tuple[float, float]:
    ratio = 1 - k.s / k.a if k.s < 0 else 1.0
    return ratio / (1 + ratio), 1 / (1 + ratio)


def _pcgrad_symmetric(k: Gramian, _: Losses) -> tuple[float, float]:
    return 1 - min(k.s, 0) / k.a, 1 - min(k.s, 0) / k.b


def _imtl_g(k: Gramian, _: Losses) -> tuple[float, float]:
    """The printed form, in inner products: c = g_f.(u_f - u_r) / (g_f - g_r).(u_f - u_r); 1/2 of the lengths at 0/0."""
    n_r, n_f = math.sqrt(k.a), math.sqrt(k.b)
    numerator = k.b / n_f - k.s / n_r
    denominator = numerator - (k.s / n_f - k.a / n_r)
    c = numerator / denominator
    return c, 1 - c


def _blur(gamma: float) -> Callable[[Gramian, Losses], tuple[float, float]]:
    return lambda k, losses: (1.0, gamma - k.s / k.b)


def _gru(k: Gramian, _: Losses) -> tuple[float, float]:
    return (-k.s / k.a if k.s < 0 else 0.0), 1.0


CASES: dict[str, list[Case]] = {
    "ngdiff": [Case(_ngdiff, scale_free=True, pareto=True, symmetric=True)],
    "gdiff": [
        Case(lambda k, losses: (0.5, 0.5), symmetric=True),
        Case(lambda k, losses: (0.9, 0.1), {"c": 0.9}),
        Case(lambda k, losses: (1.0, 0.0), {"c": 1.0}),
    ],
    "gd": [Case(lambda k, losses: (1.0, 0.0))],
    "ga": [Case(lambda k, losses: (0.0, 1.0))],
    "lossnorm": [Case(_lossnorm, symmetric=True)],
    "rlw": [Case(None)],
    "pcgrad": [Case(_pcgrad)],
    "pcgrad-symmetric": [Case(_pcgrad_symmetric, pareto=True, symmetric=True, quotient=True)],
    "imtl-g": [Case(_imtl_g, scale_free=True, pareto=True, symmetric=True)],
    # Later steps: test_gradnorm.py.
    "gradnorm": [
        Case(lambda k, losses: (1.0, 1.0), symmetric=True),
        Case(lambda k, losses: (1.0, 1.0), {"alpha": 0.5, "lr": 0.1}, symmetric=True),
    ],
    "blur": [
        Case(_blur(1.0), quotient=True, negative=True),
        Case(_blur(0.25), {"gamma": 0.25}, quotient=True, negative=True),
    ],
    "gru": [Case(_gru, scale_free=True, pareto=True, quotient=True)],
    # Later steps: test_pdu.py.
    "pdu": [Case(lambda k, losses: (1.0, 1.0)), Case(lambda k, losses: (7.0, 1.0), {"start": 7.0, "lr": 0.1})],
    # Their rules: tests/core/test_by_entries.py.
    "sago": [Case(lambda k, losses: (1.0, 1.0), symmetric=True)],
    "sago-sum": [Case(lambda k, losses: (1.0, 1.0), symmetric=True)],
}
