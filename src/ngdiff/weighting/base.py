"""The interface of a weighting: losses and a Gramian in, two weights out."""

import inspect
import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

from ngdiff.core.gramian import Gramian
from ngdiff.errors import InputError
from ngdiff.imports import place_of_function
from ngdiff.weighting.parameters import own_parameters

if TYPE_CHECKING:
    from ngdiff.core.by_entries import EntryRule


class Losses(NamedTuple):
    """The two minimised losses of the effective batch."""

    retain: float
    forget: float


class Weights(NamedTuple):
    """Factors of the retain and the forget gradient: the step follows `w_r g_r + w_f g_f`."""

    retain: float
    forget: float


class NotWeightsError(ValueError):
    """A weighting returned something other than two finite numbers."""


class NotTwoNumbersError(NotWeightsError, InputError):
    """A weighting returned something other than two numbers."""


class NotFiniteError(NotWeightsError, FloatingPointError):
    """A weighting returned a number that is not finite."""


WeightingFunction = Callable[..., Weights]


@dataclass(frozen=True, slots=True)
class Weighting:
    """A weighting with its description.

    Args:
        function: `(losses, gramian, *, step, seed, state, **parameters) -> Weights`. It receives only the keyword
            arguments that its signature names. `state` is a dict of its own, empty at first and saved in every
            checkpoint: plain numbers, strings, lists and dicts. Random draws depend only on `(seed, step)`, so that all
            processes and a resumed run agree.
        formula: The weights, in one line.
        source: Its publication.
        uses_dot: Whether it reads `gramian.s`. If not, `s` may be any number.
        name: Its name in messages; by default the name of the function.
        bound: Values of its parameters; the others have the function's defaults.
        entries: A rule that selects, for each entry, whether the retain and the forget gradient count, before they are
            weighted and added (`core.by_entries`); None if all entries count. It is skipped if one side has weight 0.
    """

    function: WeightingFunction
    formula: str
    source: str
    uses_dot: bool = False
    name: str = ""
    bound: Mapping[str, Any] = field(default_factory=dict)
    entries: "EntryRule | None" = None

    @property
    def parameters(self) -> dict[str, Any]:
        """The weighting's own parameters and their values, e.g. `{"c": 0.5}`."""
        return {name: self.bound.get(name, p.default) for name, p in own_parameters(self.function).items()}

    @property
    def needs_both_gradients(self) -> bool:
        """Whether both gradients must be in memory at once: for their inner product, or for their entries."""
        return self.uses_dot or self.entries is not None

    def __str__(self) -> str:
        return self.name or getattr(self.function, "__name__", type(self.function).__name__)


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
    """The weights of one step, with a rule for zero gradients that applies to all weightings.

    A side whose gradient is exactly zero gets weight 0, and no weighting divides by its norm: the weighting is called
    as if that gradient were orthogonal to the other, with the same norm, and as if both losses were equal. (Otherwise a
    KL, which starts at 0, would get all the weight of `lossnorm`, and the weights of the model would never change.) A
    weighting with a state receives the actual losses.

    Raises:
        ValueError: a parameter that the weighting does not have.
        NotWeightsError: the weighting returned something other than two finite numbers.

    Example:
        >>> from ngdiff.weighting import WEIGHTINGS
        >>> weigh(WEIGHTINGS["ngdiff"], Losses(1.0, -2.0), Gramian(a=4.0, s=0.0, b=0.0))
        Weights(retain=0.5, forget=0.0)
    """
    parameters = {**weighting.bound, **(parameters or {})}
    unknown = sorted(set(parameters) - set(weighting.parameters))
    if unknown:
        raise ValueError(
            f"the weighting {weighting} takes no {', '.join(unknown)}; its parameters are: "
            f"{', '.join(weighting.parameters) or 'none'}"
        )
    if gramian.a == 0.0 and gramian.b == 0.0:
        return Weights(0.0, 0.0)
    accepted = inspect.signature(weighting.function).parameters
    whole = gramian
    if gramian.a == 0.0 or gramian.b == 0.0:
        norm = gramian.a or gramian.b
        whole = Gramian(a=norm, s=0.0, b=norm)
        if "state" not in accepted:
            alive = losses.retain if gramian.a else losses.forget
            losses = Losses(alive, alive)
    context = {"step": step, "seed": seed, "state": {} if state is None else state}
    context = {k: v for k, v in context.items() if k in accepted}
    found = weighting.function(losses, whole, **context, **parameters)
    place = place_of_function(weighting.function)
    try:
        w_r, w_f = found
        weights = Weights(float(w_r), float(w_f))
    except (TypeError, ValueError) as error:
        raise NotTwoNumbersError(
            f"{place}the weighting {weighting} returned {found!r}; it must return two numbers, the weights of the "
            "retain and the forget gradient"
        ) from error
    if not (math.isfinite(weights.retain) and math.isfinite(weights.forget)):
        raise NotFiniteError(
            f"{place}the weighting {weighting} returned {weights} for {losses} and {gramian}; weights must be finite"
        )
    return Weights(0.0 if gramian.a == 0.0 else weights.retain, 0.0 if gramian.b == 0.0 else weights.forget)
