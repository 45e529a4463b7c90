"""The outcome of a run: a model fit for use, a ruined one, or an unchanged one."""

import logging
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from ngdiff.core.shards import local
from ngdiff.training.loss_bound import loss_bound
from ngdiff.training.utility_floor import why_too_low
from ngdiff.writing import without_nan

logger = logging.getLogger(__name__)

NO_NUMBERS = "it holds weights that are not finite numbers"


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a run ended.

    Args:
        before: Mean loss of each set before the run, in nats.
        after: The same rows after it; empty where the weights are not finite.
        rows: Number of rows that these are the means of.
        bound: Loss of what is to be kept, or of what was learned, above which the model is ruined; infinite for none.
        ruined: Why it is; empty for a model that is fit for use.
    """

    before: Mapping[str, float]
    after: Mapping[str, float] = field(default_factory=dict)
    rows: Mapping[str, int] = field(default_factory=dict)
    bound: float = math.inf
    ruined: str = ""

    @property
    def is_above_bound(self) -> bool:
        """Whether a finite loss is why the model is ruined."""
        return any(self.after.get(role, -math.inf) > self.bound for role in ("retain", "train"))

    def as_extra(self) -> dict[str, Any]:
        """For the manifest: losses, and how many rows they are the means of."""
        return {
            "losses_before": without_nan(self.before),
            "losses_after": without_nan(self.after),
            "rows_of_losses": dict(self.rows),
        }


@torch.no_grad()
def not_finite(model: nn.Module) -> str:
    """Name of a trained weight, or of a statistic of batch normalisation, that holds a number that is not finite.

    Of sharded weights this process's part is checked. Empty if all are finite.
    """
    weights: list[tuple[str, Tensor]] = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    for prefix, module in model.named_modules():
        if isinstance(module, nn.modules.batchnorm._BatchNorm):
            weights += [(f"{prefix}.{name}", buffer) for name, buffer in module.named_buffers(recurse=False)]
    return next((name for name, weight in weights if not torch.isfinite(local(weight)).all()), "")


def why_ruined(what: str, before: float, after: float, bound: float) -> str:
    """Why a model with finite weights is ruined, as part of a sentence; empty if it is not.

    Args:
        what: Whose loss it is.
        before, after: Loss before and after the run.
        bound: The highest loss that is accepted; infinite for no bound.
    """
    if not math.isfinite(after):
        return f"its {what} is {after}"
    if after > bound:
        return f"its {what} rose from {before:.4g} to {after:.4g} nats, and {bound:.4g} is the most that is taken"
    return ""


def retain_bound(trainer: Any) -> float:
    """Retain loss above which the model of a run counts as ruined.

    Args:
        trainer: An `UnlearnTrainer` whose losses before unlearning are known.
    """
    return loss_bound(
        trainer.args.max_retain_loss,
        before=trainer.run_state.initial_losses["retain"],
        guessing=math.log(trainer.task.choices(trainer.model)),
        name="--max-retain-loss",
    )


def outcome_of(trainer: Any) -> Outcome:
    """How an unlearning run ended. All processes must call it, and agree.

    Args:
        trainer: An `UnlearnTrainer` after `train`.
    """
    before, rows, bound = trainer.run_state.initial_losses, trainer.loss_rows, retain_bound(trainer)
    name = not_finite(trainer.model)
    flag = torch.tensor(float(bool(name)), device=trainer.args.device)
    if float(trainer.global_sum(flag)):
        return Outcome(before, {}, rows, bound, NO_NUMBERS + (f" ({name})" if name else ""))
    after = trainer.losses()
    ruined = why_ruined("forget loss", before["forget"], after["forget"], math.inf)
    ruined = ruined or why_ruined("retain loss", before["retain"], after["retain"], bound)
    ruined = ruined or why_too_low(trainer.run_state.utility)
    outcome = Outcome(before, after, rows, bound, ruined)
    notice_change(outcome, noise=trainer.autolr.settings.noise)
    return outcome


def notice_change(outcome: Outcome, *, noise: float) -> None:
    """A warning where the run changed nothing, or forgot nothing.

    Args:
        outcome: Of an unlearning run.
        noise: Rounding noise of a loss, relative to it.
    """
    if not outcome.after or outcome.ruined:
        return
    sides = ("forget", "retain")
    changes = {side: outcome.after[side] - outcome.before[side] for side in sides}
    if all(abs(changes[side]) <= noise * abs(outcome.before[side]) for side in sides):
        logger.warning("The run changed nothing: both losses are what they were. The model written is the one before.")
    elif changes["forget"] <= noise * abs(outcome.before["forget"]):
        logger.warning(
            "The forget loss did not rise (%.4f before, %.4f after): nothing was forgotten.",
            outcome.before["forget"],
            outcome.after["forget"],
        )
