"""What a weighting is: losses and a Gramian in, two weights out."""

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from ngdiff.core.gramian import Gramian


class Losses(NamedTuple):
    """The two minimised losses of the effective batch."""

    retain: float
    forget: float


class Weights(NamedTuple):
    """Factors of the retain and the forget gradient: the step follows `w_r g_r + w_f g_f`."""

    retain: float
    forget: float


WeightingFunction = Callable[..., Weights]


@dataclass(frozen=True, slots=True)
class Weighting:
    """A weighting and what is told of it.

    Args:
        function: `(losses, gramian, *, step, seed, state, **parameters) -> Weights`. It takes those of the
            keywords that it names. `state` is a dict of its own, empty at first, saved with every checkpoint.
        formula: The weights, in one line.
        source: Where it comes from.
        uses_dot: Whether it reads `gramian.s`.
    """

    function: WeightingFunction
    formula: str
    source: str
    uses_dot: bool = False

    @property
    def parameters(self) -> dict[str, Any]:
        """The method's own parameters and their defaults, e.g. `{"c": 0.5}`."""
        return {
            name: p.default
            for name, p in inspect.signature(self.function).parameters.items()
            if p.kind is p.KEYWORD_ONLY and name not in _CONTEXT
        }


_CONTEXT = ("step", "seed", "state")


def weigh(
    weighting: Weighting,
    losses: Losses,
    gramian: Gramian,
    *,
    step: int = 0,
    seed: int = 0,
    state: dict[str, Any] | None = None,
    parameters: Mapping[str, Any] | None = None,
) -> Weights:
    """The weights of one step, with the rule for vanished gradients that all weightings share.

    A side whose gradient is exactly zero gets weight 0 and is never divided by: the weighting is asked as if
    that side's gradient had the other's norm and stood at a right angle to it.

    Raises:
        ValueError: a parameter that the weighting does not take, or weights that are not finite.

    Example:
        >>> from ngdiff.weighting import WEIGHTINGS
        >>> weigh(WEIGHTINGS["ngdiff"], Losses(1.0, -2.0), Gramian(a=4.0, s=0.0, b=0.0))
        Weights(retain=0.5, forget=0.0)
    """
    parameters = dict(parameters or {})
    unknown = sorted(set(parameters) - set(weighting.parameters))
    if unknown:
        raise ValueError(
            f"the weighting {weighting.function.__name__} takes no {', '.join(unknown)}; its parameters are: "
            f"{', '.join(weighting.parameters) or 'none'}"
        )
    if gramian.a == 0.0 and gramian.b == 0.0:
        return Weights(0.0, 0.0)
    whole = gramian
    if gramian.a == 0.0 or gramian.b == 0.0:
        norm = gramian.a or gramian.b
        whole = Gramian(a=norm, s=0.0, b=norm)
    context = {"step": step, "seed": seed, "state": {} if state is None else state}
    accepted = inspect.signature(weighting.function).parameters
    context = {k: v for k, v in context.items() if k in accepted}
    weights = Weights(*weighting.function(losses, whole, **context, **parameters))
    if not (math.isfinite(weights.retain) and math.isfinite(weights.forget)):
        raise ValueError(
            f"the weighting {weighting.function.__name__} gave {weights} for {losses} and {gramian}; "
            "weights must be finite"
        )
    return Weights(0.0 if gramian.a == 0.0 else weights.retain, 0.0 if gramian.b == 0.0 else weights.forget)
