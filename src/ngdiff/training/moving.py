"""`MovingTrainer`: how the weights move in a step, from final gradients to a step that stands."""

from collections.abc import Mapping, Sequence
from typing import Any, cast

from torch import Tensor, nn
from torch.optim import Optimizer

from ngdiff.core import AutoLR
from ngdiff.evaluation.eval_mode import eval_mode
from ngdiff.objectives.kl import cross_entropy_from_before
from ngdiff.training.checkpoint import RunState
from ngdiff.training.compared import Compared
from ngdiff.training.paired import PairedTrainer
from ngdiff.training.probing import Prober, figures_of
from ngdiff.training.rollback import Rollback
from ngdiff.training.step import StepReport
from ngdiff.training.step_log import StepLog


class MovingTrainer(PairedTrainer):
    """A `PairedTrainer` that finds the learning rate before the optimizer's step, and may undo the step after it.

    Attributes:
        prober: When and how the learning rate is probed.
        compared: Has what the model before said about protected rows.
        run_state: Gets each probe, and each step that was undone.
        step_log: Has the report of the step.
    """

    prober: Prober
    compared: Compared
    run_state: RunState
    step_log: StepLog
    _rollback: Rollback | None = None  # between the start and the end of a run, with `--on-divergence rollback`

    @property
    def autolr(self) -> AutoLR:
        """How the learning rate is found."""
        return self.prober.autolr

    def choose_learning_rate(self) -> None:
        """Probe and set the learning rate if this step asks for it. Gradients are final when this runs."""
        step = self.state.global_step + 1
        if self._rollback is not None:
            self._rollback.keep()
        if self.prober.is_due(step):
            with self.observe("probe of the learning rate"):
                self._probe(self.bare_optimizer, step)
        self.step_log.add({"learning_rate": self.rate})  # Trainer's is its schedule's: the one before the probe

    @property
    def rate_may_rise(self) -> bool:
        """Whether a probe may raise the learning rate."""
        return True

    def _probe(self, optimizer: Optimizer, step: int) -> None:
        model, report = self.model_wrapped, cast(StepReport, self.step_log.last)
        with eval_mode(model):  # no dropout: every loss of a probe must see the same model
            probe = self.prober.probe(
                optimizer,
                step,
                lambda batches: self.kept_loss(model, batches),
                step_loss=report.retain_loss if self.protect_dataset is None else None,
                may_rise=self.rate_may_rise,
            )
        self.run_state.probes.append({"step": step, **probe.as_dict()})
        self.step_log.add(figures_of(probe))

    def kept_loss(self, model: nn.Module, batches: Sequence[Mapping[str, Any]]) -> float:
        """What a probe measures: `retain_loss`, and with protected rows plus their mean `CE(before, now)` a token.

        That is the divergence which the retain side adds to its objective, plus a constant: the entropy of the model
        before. Without it, a first step would be measured against a loss of nearly 0.

        Args:
            model: As it is trained, in evaluation mode.
            batches: Of this process, with protected rows where the run has some.
        """
        kept = self.retain_loss(model, batches)
        if self.protect_dataset is None:
            return kept

        def losses(inputs: Mapping[str, Tensor]) -> Tensor:
            answers = self.task.forward(model, inputs, frozenset({"logits"}))
            with self.accelerator.autocast():  # as where they were stored
                return cross_entropy_from_before(self.compared.attach("protect", inputs, answers))

        return kept + self.mean_over_tokens(model, [batch["protect"] for batch in batches], losses)

    def check_step(self) -> None:
        """After the optimizer's step: undo it if it diverged and `--on-divergence` asks for that."""
        if self._rollback is None:
            return
        report = cast(StepReport, self.step_log.last)
        undone = self._rollback.check(report.number, report.retain_loss)
        if undone is not None:
            self.run_state.undone.append(undone)
            self.step_log.add({"undone": 1.0})
