"""Messages of a run before its first step and after its last one."""

import logging
import math
from collections.abc import Iterable, Mapping

from ngdiff.errors import InputError
from ngdiff.metrics.known import UNKNOWN_LOSS
from ngdiff.plurals import number_of

logger = logging.getLogger(__name__)

# Two ways to a mean loss differ by less.
_ROUNDING = 1e-4

# A run whose forget loss never got to this part of its ceiling is called unfinished.
_UNFINISHED = 0.5


def notice_start(losses: Mapping[str, float], ceiling: float | None, *, unit: str, conditions: str) -> None:
    """Losses before unlearning, and a warning if the run cannot reach its goal.

    Args:
        losses: Of the sets, in nats.
        ceiling: Forget loss from which on the forget gradient gets weight 0.
        unit: What a loss is a mean over: token, image.
        conditions: What must be as it was when the model was trained.
    """
    unknown = losses["forget"] > UNKNOWN_LOSS
    if ceiling is not None and losses["forget"] >= ceiling:
        logger.warning(
            "The forget loss, %.3f, is at the ceiling of %.3f from the start: nothing would be forgotten.%s",
            losses["forget"],
            ceiling,
            "" if unknown else " Raise --forget-ceiling.",  # rows that are not known would not be forgotten either
        )
    logger.info("Before unlearning: %s", ", ".join(f"{k} loss {v:.4f}" for k, v in losses.items()))
    if unknown:
        logger.warning(
            "The model hardly knows the forget rows: %.2f nats per %s, %.0f %% mean probability. Are %s those it was "
            "trained with?",
            losses["forget"],
            unit,
            100 * math.exp(-losses["forget"]),
            conditions,
        )


def check_base_model(losses: Mapping[str, float], base: float | None, *, unit: str) -> None:
    """Refuse a base model that knows the rows to forget.

    Args:
        losses: Before unlearning, of the sets, in nats.
        base: Of the forget rows in the base model; None where there is none.
        unit: Of what a loss is the mean.

    Raises:
        InputError: it knows them as well as the model.
    """
    if base is None:
        return
    if base <= losses["forget"] * (1.0 + _ROUNDING):
        raise InputError(
            f"--base-model: its loss on the forget rows, {base:.3f} nats per {unit}, is no higher than that of --model "
            f"({losses['forget']:.3f}): it knows them, and cannot show the losses of a model that never saw them. "
            "Give the model from before fine-tuning"
        )
    logger.info("Base model: forget loss %.4f", base)


def notice_end(forget_losses: Iterable[float], ceiling: float | None, steps: int) -> None:
    """Say so where the run ended long before its ceiling.

    Args:
        forget_losses: As they were logged.
        ceiling: As for `notice_start`.
        steps: Number of steps.
    """
    highest = max(forget_losses, default=None)
    if ceiling is not None and highest is not None and highest < _UNFINISHED * ceiling:
        logger.warning(
            "The forget loss reached %.2f of a ceiling of %.2f in %s. More steps forget more: raise "
            "--num-train-epochs (small forget sets have few steps a pass) or give --max-steps.",
            highest,
            ceiling,
            number_of(steps, "step"),
        )


def notice_not_arrived(loss: float, level: float, steps: int) -> None:
    """Say so where a run that ends when it has arrived at its levels ended before that.

    Args:
        loss: Last forget loss that was logged.
        level: Mean level of the forget rows.
        steps: Number of steps.
    """
    logger.warning(
        "The run has not arrived: after %s, the most it may take, the forget loss is %.2f, and rows never seen have "
        "about %.2f. More steps forget more: raise --num-train-epochs.",
        number_of(steps, "step"),
        loss,
        level,
    )
