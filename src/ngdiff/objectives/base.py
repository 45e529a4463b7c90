"""The interface of an objective: the answers of one batch in, a sum to be minimised out."""

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from typing import TYPE_CHECKING, Any

from ngdiff.errors import InputError
from ngdiff.imports import place_of_function

if TYPE_CHECKING:
    from torch import Tensor

    from ngdiff.core.answers import Answers, Unit

ObjectiveFunction = Callable[..., "Tensor"]

# Inputs that an objective may need in addition to the token losses -> their description.
NEEDS = {
    "logits": "logits of the answer tokens",
    "hidden": "hidden states after one layer, at the positions that predict the answer tokens",
    "reference": "token losses of the model before unlearning",
    "reference_logits": "log-probabilities of all choices of the model before unlearning",
    "teacher_logits": "log-probabilities of all choices of the base model, the one before fine-tuning",
    "level": "the loss that each answer token would have under a model that never saw the rows",
    "alternate": "the same rows with an alternative answer (`I don't know`)",
    "sampled": "with `alternate`: alternative answers sampled from the model before unlearning, not `I don't know`",
}


@dataclass(frozen=True, slots=True)
class Objective:
    """An objective, with the properties that the trainer needs.

    Args:
        function: `(answers, **parameters)` -> scalar *sum* over the batch's units, to be minimised. The trainer divides
            by the number of units in the whole effective batch, so that neither gradient accumulation nor the
            number of processes changes the value.
        unit: What the sum runs over: answer `token`s, `sequence`s (rows with an answer), or `later_token`s (all tokens
            of an answer but the first).
        formula: One line.
        source: Its publication.
        needs: What it reads from `Answers` in addition to `nll`, `row`, `rows` and `labels`: keys of `NEEDS`.
        noise_floor: Norm of the gradient in fp32 below which it is rounding noise; the side then gets weight 0.
            Needed by objectives that start at their minimum.
        own_answers: Whether its gradient depends on the rows' own answers; if not, only on those of `alternate`.
        has_token_loss: Whether it raises or lowers the answers' token losses, so that a forget ceiling on them makes
            sense.
        ends: Whether forgetting should end at its minimum, so that it needs no ceiling.
        layer: For `hidden`: `number of layers -> number of the layer`, from 1. The parameter `layer` replaces it.
    """

    function: ObjectiveFunction
    unit: "Unit"
    formula: str
    source: str
    needs: frozenset[str] = frozenset()
    noise_floor: float = 0.0
    own_answers: bool = True
    has_token_loss: bool = True
    layer: Callable[[int], int] | None = None
    ends: bool = False

    def __post_init__(self) -> None:
        unknown = sorted(self.needs - NEEDS.keys())
        if unknown:
            raise InputError(f"an objective needs {', '.join(unknown)}; known are {', '.join(NEEDS)}")
        if "sampled" in self.needs and "alternate" not in self.needs:
            raise InputError("an objective that needs sampled, answers sampled from the model, also needs alternate")

    def __call__(self, answers: "Answers") -> "Tensor":
        """The sum over the units of a batch.

        Raises:
            InputError: the function returned something else.
        """
        from torch import Tensor

        found: Any = self.function(answers)
        if isinstance(found, Tensor) and found.ndim == 0 and found.is_floating_point():
            if found.requires_grad or not answers.nll.requires_grad:
                return found
            what = "a tensor without a gradient (detached, or made of plain numbers)"
        elif isinstance(found, Tensor):
            what = f"a tensor of shape {tuple(found.shape)} and type {str(found.dtype).removeprefix('torch.')}"
        else:
            what = f"a {type(found).__name__}"
        raise InputError(
            f"{place_of_function(self.function)}the objective {self.formula} gave {what}; a floating-point tensor of "
            f"shape () is wanted, the sum over the {self.unit}s of the batch, with its gradient"
        )

    @property
    def parameters(self) -> dict[str, Any]:
        """The objective's own parameters and their defaults, e.g. `{"beta": 0.1}`."""
        own = inspect.signature(self.function).parameters.values()
        layer = {"layer": None} if "hidden" in self.needs else {}
        return {p.name: p.default for p in own if p.kind is p.KEYWORD_ONLY} | layer

    def with_parameters(self, parameters: Mapping[str, Any], name: str) -> "Objective":
        """The objective with its parameters bound.

        Raises:
            InputError: a parameter that it does not take, or one of another type or sign than the default's.
        """
        if not parameters:
            return self
        known = self.parameters
        for key, value in parameters.items():
            if key not in known:
                raise InputError(f"{name} takes no {key}; its parameters are: {', '.join(known) or 'none'}")
            _check_like(known[key], value, f"{name}({key}={value!r})")
        own = dict(parameters)
        layer = self.layer
        if "hidden" in self.needs and (number := own.pop("layer", None)) is not None:
            if not isinstance(number, int) or isinstance(number, bool) or number < 1:
                raise InputError(f"{name}(layer={number!r}) is not the number of a layer, from 1")
            layer = partial(_the_layer, number)
        # The only parameter that changes what a sum runs over.
        unit: Unit = "later_token" if own.get("skip_first") else self.unit
        return replace(self, function=partial(self.function, **own), unit=unit, layer=layer)


def _the_layer(number: int, layers: int) -> int:
    if number > layers:
        raise InputError(f"layer={number}: the model has {layers} layers")
    return number


def _check_like(default: Any, value: Any, where: str) -> None:
    """Refuse a value whose type or sign differs from that of the default."""
    if isinstance(default, bool):
        if not isinstance(value, bool):
            raise InputError(f"{where} is neither True nor False")
        return
    if not isinstance(default, int | float):
        return
    if isinstance(value, bool) or not isinstance(value, int | float) or not abs(value) < float("inf"):
        raise InputError(f"{where} is not a number")
    if isinstance(default, int) and not isinstance(value, int):
        raise InputError(f"{where} is not a whole number")
    if default > 0 and not value > 0:
        raise InputError(f"{where} is not above 0")
