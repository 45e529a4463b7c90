"""A run without weights: the trainer's own steps, watched for bytes and operations."""

import contextlib
import copy
import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from transformers import PrinterCallback
from transformers.trainer_utils import IntervalStrategy, SaveStrategy

from ngdiff.core import AutoLR, Probe
from ngdiff.core.answers import Answers, Reference
from ngdiff.core.line import learning_rate
from ngdiff.estimate.live import LiveBytes, Peak
from ngdiff.estimate.operations import Operations
from ngdiff.estimate.weightless import Weightless
from ngdiff.modeling.reference import FrozenHead, frozen_head
from ngdiff.training import UnlearnConfig, UnlearnTrainer
from ngdiff.training.pairing import Pair

# From the second step on, and the second micro-batch, nothing new is alive.
_STEPS, _MICRO_BATCHES = 2, 2

PROBE = "probe of the learning rate"


@dataclass(frozen=True)
class Findings:
    """What was seen of the steps of a run.

    Args:
        peaks: Moment -> the most bytes alive in it.
        operations: Moment -> operations of matrix products and attention, of one pass over one micro-batch.
        optimizer_state: Bytes that the optimizer keeps.
    """

    peaks: dict[str, Peak]
    operations: dict[str, float]
    optimizer_state: int


class RehearsalTrainer(UnlearnTrainer):
    """An `UnlearnTrainer` that takes two steps with the same pairs and says what goes on.

    Args:
        model, args, forget_dataset, retain_dataset, options: As for `UnlearnTrainer`.
        mode: Within which it is trained.
        live: Is told what goes on.
    """

    def __init__(
        self, model: Any, args: UnlearnConfig, *rows: Any, mode: Weightless, live: LiveBytes, **options: Any
    ) -> None:
        super().__init__(model, args, *rows, **options)
        self._mode, self._live = mode, live
        self._operations = Operations()
        self._counted: dict[str, list[float]] = {}
        self.pairs: Sequence[Pair] = []
        self.autolr = self._prober.autolr = _OneLook(self.autolr.settings, mode)
        self.run_state.initial_losses = dict.fromkeys(("forget", "retain", "holdout"), 1.0)
        self.pop_callback(PrinterCallback)

    def rehearse(self, pairs: Sequence[Pair]) -> Findings:
        """Take the steps, and look at the retain loss once, so that its operations are known also without a probe.

        Args:
            pairs: Of one micro-batch.
        """
        self.pairs = pairs
        own: list[Mapping[str, Tensor]] = [self.task.collate([self.retain_dataset[pair[1]] for pair in pairs])]
        self._prober.fresh_batches = lambda step: own  # type: ignore[method-assign]
        model = cast(nn.Module, self.model)
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.register_post_accumulate_grad_hook(self._has_gradient)
        self._live.choices = self.task.choices(model)
        self._live.hold([*model.parameters(), *model.buffers()], "weights")
        self._mode.watchers += [self._live, self._operations]
        with self._mode:
            self.train()
            with self._live.within(moment="losses before and after"), torch.no_grad():
                self._retain_loss(model, own)
        state = cast(Any, self.optimizer).state.values()
        kept = sum(v.nbytes for values in state for v in values.values() if isinstance(v, Tensor))
        operations = {name: max(found) for name, found in self._counted.items()}
        return Findings(self._live.peaks, operations, kept)

    def _has_gradient(self, parameter: Tensor) -> None:
        if parameter.grad is not None:
            self._live.hold([parameter.grad], "gradients")

    def _seen(self, name: str, operations: float) -> None:
        self._counted.setdefault(name, []).append(operations)

    # ---- what is told ----------------------------------------------------------------------------------------------

    def training_step(self, *args: Any, **kwargs: Any) -> Tensor:
        """One micro-batch; what is made outside of its passes belongs to the gradients."""
        with self._live.within(kind="gradients"):
            return super().training_step(*args, **kwargs)

    def compute_loss(self, *args: Any, **kwargs: Any) -> Any:
        """The forward pass; the backward pass that follows it belongs to it."""
        assert self._pass is not None
        self._live.kind, self._live.moment = "activations", f"{self._pass[0]} pass"
        self._before_pass = self._operations.total
        return super().compute_loss(*args, **kwargs)

    def _prepare_for_training(self, *args: Any, **kwargs: Any) -> Any:
        prepared = super()._prepare_for_training(*args, **kwargs)
        backward = self.accelerator.backward

        def told(*args: Any, **kwargs: Any) -> None:
            backward(*args, **kwargs)
            self._live.kind = "gradients"
            self._seen(self._live.moment, self._operations.total - self._before_pass)

        self.accelerator.backward = told
        inner: Any = self.optimizer
        while hasattr(inner, "optimizer"):
            inner = inner.optimizer
        step = inner.step

        def told_step(*args: Any, **kwargs: Any) -> Any:  # hooks of a step are not called where a probe measures one
            moment = None if self._live.moment == PROBE else "optimizer step"
            with self._live.within(kind="optimizer state", moment=moment):
                return step(*args, **kwargs)

        inner.step = told_step
        return prepared

    def _weigh(self, *args: Any, **kwargs: Any) -> Any:
        self._live.moment = "combination of the gradients"
        return super()._weigh(*args, **kwargs)

    def choose_learning_rate(self) -> None:
        """The probe."""
        due = self._prober.is_due(self.state.global_step + 1)
        with self._live.within(kind="probe", moment=PROBE if due else None):
            super().choose_learning_rate()

    def _retain_loss(self, model: nn.Module, batches: Sequence[Mapping[str, Tensor]]) -> float:
        before = self._operations.total
        with self._live.within(kind="activations"):
            loss = super()._retain_loss(model, batches)
        self._seen("forward", (self._operations.total - before) / len(batches))
        return loss

    def _check_forward(self) -> None:
        self._mode.number = 0.0  # the two ways of a forward pass do not differ
        with self._live.within(kind="activations", moment="check of the forward pass"):
            super()._check_forward()
        self._mode.number = 1.0

    # ---- what is left out ------------------------------------------------------------------------------------------

    def _get_train_sampler(self, train_dataset: Any = None) -> Any:
        return [*self.pairs] * self.args.gradient_accumulation_steps * _STEPS

    def start_epoch(self) -> None:
        """The pairs are given."""

    def _prepare_references(self) -> None:
        if self._references is not None:
            with self._live.within(kind="head before unlearning"):
                self._references = cast(Any, _StandIn(cast(nn.Module, self.model), self._references.log_probs))


class _OneLook(AutoLR):
    """A probe with one loss: further ones need no more memory."""

    def __init__(self, settings: Any, mode: Weightless) -> None:
        super().__init__(settings)
        self._mode = mode

    def probe(self, optimizer: Optimizer, loss: Any, **options: Any) -> Probe:
        rate = learning_rate(optimizer)
        self._mode.number = 0.0  # the step is proportional to the rate
        with self._line(optimizer) as line:
            self._checked = True
            loss()
            line.settle(rate)
        self._mode.number = 1.0
        return Probe(before=rate, after=rate)


class _StandIn:
    """What the model before unlearning said, without values."""

    def __init__(self, model: nn.Module, log_probs: set[str]) -> None:
        self._log_probs = log_probs
        self._head: FrozenHead | None = None
        head = frozen_head(model, copy=False) if log_probs else None
        if head is not None:
            self._head = copy.copy(head)
            self._head.weight = head.weight.clone()

    def attach(self, name: str, batch: Mapping[str, Tensor], answers: Answers) -> Answers:
        """`answers` with a reference of the same tokens."""
        log_probs = None
        if name in self._log_probs and answers.logits is not None:
            width = answers.logits.shape[1] if self._head is None else self._head.weight.shape[1]
            dtype = torch.float32 if self._head is None else self._head.weight.dtype
            states = answers.logits.new_empty((answers.nll.shape[0], width), dtype=dtype)
            log_probs = states.log_softmax(-1) if self._head is None else self._head.log_probs(states)
        return replace(answers, reference=Reference(answers.nll.detach().clone(), log_probs))


@contextlib.contextmanager
def rehearsal_options(config: UnlearnConfig) -> Iterator[UnlearnConfig]:
    """Options of a run of two steps, each with a probe, that writes and says nothing; its folder is gone afterwards."""
    options = copy.copy(config)
    options.max_steps = _STEPS
    options.gradient_accumulation_steps = min(config.gradient_accumulation_steps, _MICRO_BATCHES)
    options.autolr_interval, options.autolr_search = 1, False
    options.disable_tqdm, options.report_to = True, []
    options.save_strategy, options.load_best_model_at_end = SaveStrategy.NO, False
    options.eval_strategy, options.eval_on_start = IntervalStrategy.NO, False
    options.logging_strategy = IntervalStrategy.NO
    options.push_to_hub = options.torch_compile = False
    options.dataloader_num_workers = 0
    options.fused_loss = "none"  # its kernels want values
    if options.device.type == "cpu" and options.stash_device == "cpu":
        options.stash_device = "meta"  # counted apart, as on a machine whose model is elsewhere
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with tempfile.TemporaryDirectory() as folder:
            options.output_dir = folder
            yield options
    finally:
        logging.disable(disabled)
