"""From losses and Gramian to the weights of the two gradients, and to the figures that a step logs."""

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from ngdiff.core import Gramian
from ngdiff.core.slots import Side
from ngdiff.objectives import Objective
from ngdiff.weighting import Losses, Weighting, Weights, weigh


@dataclass(frozen=True)
class Weighed:
    """The weights of a step's two gradients.

    Args:
        weights: Of the retain and the forget gradient.
        figures: The numbers for the step's log line.
        idle: Why nothing moves, where both weights are 0; else empty.
    """

    weights: Weights
    figures: dict[str, float]
    idle: str


@dataclass
class Weigher:
    """Weighs the two gradients of each step.

    Args:
        weighting: Gives their weights.
        objectives: Of both sides, for their noise floors.
        seed: Of the run.
        noise: Rounding noise of a gradient relative to fp32's, by which the noise floors are multiplied.
        ceiling: Forget loss, in nats a token, at and above which the forget gradient gets weight 0; None for none.
        knows_cosine: Whether the inner product of the two gradients is measured.
    """

    weighting: Weighting
    objectives: Mapping[Side, Objective]
    seed: int
    noise: float = 1.0
    ceiling: float | None = None
    knows_cosine: bool = True

    def weigh(
        self,
        products: Gramian,
        *,
        token_losses: Losses,
        objective_losses: Losses,
        step: int,
        state: dict[str, Any],
    ) -> Weighed:
        """Weights of the retain and the forget gradient.

        Args:
            products: Of the gradients of the minimised objectives of the whole effective batch.
            token_losses: Mean cross-entropy a token of both sides.
            objective_losses: The minimised objectives.
            step: Number of the step, from 1.
            state: Of the weighting.

        Raises:
            FloatingPointError: a loss or gradient that is not finite.
        """
        refuse_non_finite(step, products, {"retain": token_losses.retain, "forget": token_losses.forget})
        weights = weigh(
            self.weighting, objective_losses, self.above_noise(products), step=step, seed=self.seed, state=state
        )
        at_ceiling = self.ceiling is not None and token_losses.forget >= self.ceiling
        if at_ceiling:
            weights = Weights(weights.retain, 0.0)
        idle = "" if any(weights) else self._why_idle(products, token_losses.forget, at_ceiling)
        total = weights.retain + weights.forget
        figures = {
            "loss_forget": token_losses.forget,
            "loss_retain": token_losses.retain,
            "objective_forget": objective_losses.forget,
            "objective_retain": objective_losses.retain,
            "norm_forget": products.norm_f,
            "norm_retain": products.norm_r,
            "weight_forget": weights.forget,
            "weight_retain": weights.retain,
            "c_t": weights.retain / total if total else 0.0,
            "at_ceiling": float(at_ceiling),
        }
        if self.knows_cosine:
            # Between the natural gradients, for the default objectives those of both cross-entropies: near 1 where
            # forgetting and keeping depend on the same weights.
            figures["cosine"] = -products.cosine
        return Weighed(weights, figures, idle)

    def _why_idle(self, products: Gramian, loss_forget: float, at_ceiling: bool) -> str:
        kept = self.above_noise(products)
        forget = _why_zero("forget", products.b, kept.b)
        if at_ceiling:
            forget = f"the forget loss, {loss_forget:.2f}, is at the ceiling of {self.ceiling:.2f}"
        return f"{_why_zero('retain', products.a, kept.a)}, and {forget}"

    def above_noise(self, products: Gramian) -> Gramian:
        """The Gramian, with a gradient that is only rounding noise set to zero."""
        keep_r = products.norm_r > self.objectives["retain"].noise_floor * self.noise
        keep_f = products.norm_f > self.objectives["forget"].noise_floor * self.noise
        return Gramian(
            a=products.a if keep_r else 0.0,
            s=products.s if keep_r and keep_f else 0.0,
            b=products.b if keep_f else 0.0,
        )

    def retain_counts(self) -> bool:
        """Whether the weighting gives the retain gradient any weight."""
        return weigh(self.weighting, Losses(1.0, -1.0), Gramian(a=1.0, s=0.0, b=1.0)).retain > 0.0


def _why_zero(side: Side, square: float, above_noise: float) -> str:
    if square == 0.0:
        return f"the {side} gradient is 0"
    if above_noise == 0.0:
        return f"the {side} objective is at its minimum, where its gradient is rounding noise"
    return f"the {side} gradient has no weight"


def refuse_non_finite(step: int, products: Gramian, losses: Mapping[str, float]) -> None:
    """Stop before the optimizer steps.

    Raises:
        FloatingPointError: names the step and the side.
    """
    squares = {"retain": products.a, "forget": products.b}
    for side, loss in losses.items():
        for what, value in (("loss", loss), ("squared gradient norm", squares[side])):
            if not math.isfinite(value):
                raise FloatingPointError(
                    f"step {step}: the {what} of the {side} set is {value}; the weights have not moved in this "
                    "step. A smaller learning rate or a --forget-ceiling may help"
                )
