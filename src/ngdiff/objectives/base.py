"""What an objective is: the answers of one batch in, a sum to be minimised out."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

from torch import Tensor

from ngdiff.core.answers import Answers

ObjectiveFunction = Callable[[Answers], Tensor]


@dataclass(frozen=True, slots=True)
class Objective:
    """An objective and what the trainer must know of it.

    Args:
        function: Answers of one batch -> scalar *sum* over the batch's units, to be minimised. The trainer divides
            by the number of units in the whole effective batch, so that neither gradient accumulation nor the
            number of processes changes the value.
        unit: What the sum runs over: answer `token`s, or `sequence`s (rows with an answer).
        formula: One line.
        source: Where it comes from.
        noise_floor: Norm of the gradient below which it is rounding noise; the side then gets weight 0.
            Needed by objectives that start at their minimum.
    """

    function: ObjectiveFunction
    unit: Literal["token", "sequence"]
    formula: str
    source: str
    noise_floor: float = 0.0
