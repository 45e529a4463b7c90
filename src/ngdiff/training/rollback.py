"""`--on-divergence rollback`: a step that ruins the model is undone."""

import logging
from typing import Any, cast

import torch
from torch import nn

from ngdiff.core.line import learning_rate, restore_state, set_learning_rate, snapshot
from ngdiff.core.shards import local
from ngdiff.evaluation.eval_mode import eval_mode
from ngdiff.training.outcome import not_finite, retain_bound, why_ruined

logger = logging.getLogger(__name__)

# What the learning rate is multiplied by, and after how many undone steps the run gives up: 4^-8 is 1.5e-5.
_LESS = 0.25
_MOST = 8


class Rollback:
    """Undoes steps of a run that diverge, and lowers the learning rate.

    Before each step weights and optimizer state are copied. After it the loss of its own retain rows is taken again: a
    forward pass more, a sixth of the two forward and backward passes of a step. If a weight or that loss is not finite,
    or the loss rose by as much in this one step as `--max-retain-loss` lets it rise in the whole run, weights and state
    are put back, bit for bit, and the rate is a quarter. The next step has other rows. Which steps were undone is part
    of `RunState`, so that a resumed run goes the same way. All processes come to the same decision.

    Args:
        trainer: An `UnlearnTrainer` at the start of its run.
    """

    def __init__(self, trainer: Any) -> None:
        self._trainer = trainer
        self._rise = max(retain_bound(trainer) - trainer.run_state.initial_losses["retain"], 0.0)
        self._weights: list[torch.Tensor] = []
        self._state: dict[torch.Tensor, dict[str, Any]] = {}

    def keep(self) -> None:
        """Copy weights and optimizer state, before anything of the step changes them."""
        self._weights, self._state = [], {}  # no second copy beside the first
        with self._trainer.observe("copy for a rollback"):
            self._weights = [local(p).detach().clone() for p in self._parameters()]
            self._state = snapshot(self._trainer.bare_optimizer)

    def check(self, step: int, before: float) -> dict[str, Any] | None:
        """After the optimizer's step: undo it if it diverged.

        Args:
            step: Its number, from 1.
            before: Loss of its retain rows before it.

        Returns:
            What was undone, for `RunState`; None for a step that stands.

        Raises:
            FloatingPointError: it diverged, as did as many before it as are undone at most. It is undone.
        """
        loss, why = self._why(step, before)
        if not why:
            return None
        self._undo()
        optimizer, scheduler = self._trainer.bare_optimizer, self._trainer.lr_scheduler
        rate = learning_rate(optimizer)
        undone = len(self._trainer.run_state.undone)
        if undone >= _MOST:
            raise FloatingPointError(
                f"step {step}: {why}; it is undone, as were {undone} steps before it, the last one at a learning rate "
                f"of {rate:.2g}. --on-divergence rollback gives up here: look at the rows, or take another method"
            )
        set_learning_rate(optimizer, rate * _LESS)
        if hasattr(scheduler, "base_lrs"):  # a schedule multiplies these
            scheduler.base_lrs = [base * _LESS for base in scheduler.base_lrs]
        logger.warning("Step %d is undone: %s. The learning rate is now %.2g.", step, why, rate * _LESS)
        return {"step": step, "why": why, "loss_before": before, "loss": loss, "rate": rate}

    def _why(self, step: int, before: float) -> tuple[float | None, str]:
        trainer = self._trainer
        here = torch.tensor(float(bool(not_finite(trainer.model))), device=trainer.args.device)
        if float(trainer.global_sum(here)):
            return None, "a weight is not finite"
        model = cast(nn.Module, trainer.model_wrapped)
        with eval_mode(model):
            loss = trainer.retain_loss(model, trainer.prober.fresh_batches(step - 1))  # those of this step
        return loss, why_ruined("retain loss", before, loss, before + self._rise)

    @torch.no_grad()
    def _undo(self) -> None:
        for parameter, kept in zip(self._parameters(), self._weights, strict=True):
            local(parameter).copy_(kept)
        restore_state(self._trainer.bare_optimizer, self._state)

    def _parameters(self) -> list[nn.Parameter]:
        return [p for group in self._trainer.bare_optimizer.param_groups for p in group["params"]]
