"""A rehearsal of a run on fake tensors: the trainer's own steps, watched for bytes and operations."""

import contextlib
import copy
import logging
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.optim import Optimizer
from tqdm import tqdm
from transformers import PrinterCallback
from transformers.trainer_utils import IntervalStrategy, SaveStrategy

from ngdiff.core import AutoLR, Probe
from ngdiff.core.answers import Answers, Reference
from ngdiff.core.inner_products import chunks_of
from ngdiff.core.line import learning_rate
from ngdiff.estimate.fake_run import FakeRun
from ngdiff.estimate.live import LiveBytes, Peak
from ngdiff.estimate.operations import Operations
from ngdiff.modeling.reference import FrozenHead, frozen_head
from ngdiff.training import UnlearnConfig, UnlearnTrainer
from ngdiff.training.compared import Compared
from ngdiff.training.moments import Moment
from ngdiff.training.pairing import Pair

# After the second step and the second micro-batch, memory does not grow any more.
_STEPS, _MICRO_BATCHES = 2, 2

# Elements of a chunk of a gradient in inner products: 16 MiB in fp32. The run's own on a CPU, 1 MiB, would be 130 000
# calls a step for 7 billion weights.
_CHUNK = 1 << 22

PROBE: Moment = "probe of the learning rate"


@dataclass(frozen=True)
class Findings:
    """What the rehearsed steps needed.

    Args:
        peaks: Moment -> the most bytes alive in it.
        operations: Moment -> operations of matrix products and attention, of one pass over one micro-batch.
        optimizer_state: Bytes that the optimizer keeps.
    """

    peaks: dict[str, Peak]
    operations: dict[str, float]
    optimizer_state: int


class RehearsalTrainer(UnlearnTrainer):
    """An `UnlearnTrainer` that takes two steps with the same pairs and records what they need.

    Args:
        model, args, forget_dataset, retain_dataset, options: As for `UnlearnTrainer`.
        mode: The mode for fake tensors.
        live: Counts the memory.
        show_progress: Show a bar of the moments on standard error.
    """

    def __init__(
        self,
        model: Any,
        args: UnlearnConfig,
        *rows: Any,
        mode: FakeRun,
        live: LiveBytes,
        show_progress: bool = False,
        **options: Any,
    ) -> None:
        super().__init__(model, args, *rows, **options)
        self._mode, self._live = mode, live
        self._bar = tqdm(total=_moments(args), unit="moment", disable=not show_progress)
        self._operations = Operations()
        self._counted: dict[str, list[float]] = {}
        self.observe = self._watch
        self.prober.autolr = _SingleLossProbe(self.prober.autolr.settings, mode)
        self.compared = _fake(self.compared, cast(nn.Module, self.model))
        self.pop_callback(PrinterCallback)

    def rehearse(self, pairs: Sequence[Pair]) -> Findings:
        """Take the steps, and evaluate the retain loss once, so that its operations are known even without a probe.

        Args:
            pairs: Those of one micro-batch.
        """
        self.sampler = self.prober.sampler = cast(Any, _SamePairs(pairs, self.args.gradient_accumulation_steps))
        model = cast(nn.Module, self.model)
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.register_post_accumulate_grad_hook(self._has_gradient)
        self._live.choices = self.task.choices(model)
        self._live.hold([*model.parameters(), *model.buffers()], "weights")
        self._mode.watchers += [self._live, self._operations]
        with self._bar, self._mode, chunks_of(_CHUNK):
            self.train()
            with self._live.within(moment="losses before and after"), torch.no_grad():
                self.retain_loss(model, [self.task.collate([self.retain_dataset[pair.retain] for pair in pairs])])
        state = cast(Any, self.optimizer).state.values()
        kept = sum(v.nbytes for values in state for v in values.values() if isinstance(v, Tensor))
        operations = {name: max(found) for name, found in self._counted.items()}
        return Findings(self._live.peaks, operations, kept)

    def start_run(self) -> None:
        """Also watch the optimizer's step: its hooks are not called where a probe measures one.

        Losses before the run are taken as known: they would be a pass over every row.
        """
        self.run_state.initial_losses = dict.fromkeys(self.loss_rows, 1.0)
        super().start_run()
        optimizer: Any = self.bare_optimizer
        step = optimizer.step

        def told(*args: Any, **kwargs: Any) -> Any:
            moment = None if self._live.moment == PROBE else "optimizer step"
            with self._live.within(kind="optimizer state", moment=moment):
                return step(*args, **kwargs)

        optimizer.step = told

    def _has_gradient(self, parameter: Tensor) -> None:
        if parameter.grad is not None:
            self._live.hold([parameter.grad], "gradients")

    @contextlib.contextmanager
    def _watch(self, moment: Moment) -> Iterator[None]:
        """Observe a moment of the trainer: the memory and operations in it."""
        if moment in _SHOWN:
            self._bar.set_description(moment)
        before = self._operations.total
        # The compared forward passes shall not differ.
        self._mode.number = 0.0 if moment == "check of the forward pass" else self._mode.number
        with self._live.within(kind=_KINDS[moment], moment=None if moment in _WITHIN_OTHERS else moment):
            yield
        self._mode.number = 1.0 if moment == "check of the forward pass" else self._mode.number
        self._counted.setdefault(moment, []).append(self._operations.total - before)
        if moment in _SHOWN:
            self._bar.update()


# Purpose of the memory that is allocated in a moment.
_KINDS: dict[Moment, str] = {
    "references": "head before unlearning",
    "check of the forward pass": "activations",
    "micro-batch": "gradients",
    "retain pass": "activations",
    "forget pass": "activations",
    "combination of the gradients": "gradients",
    "probe of the learning rate": "probe",
    "copy for a rollback": "copy for a rollback",
    "loss": "activations",
}
_WITHIN_OTHERS = ("references", "loss")  # they have no peak of their own
_SHOWN = ("check of the forward pass", "retain pass", "forget pass", PROBE)  # what takes long


def _moments(args: UnlearnConfig) -> int:
    """How many of `_SHOWN` there are."""
    passes = 3 if args.gradient_buffers == 1 else 2
    return 1 + _STEPS * (args.gradient_accumulation_steps * passes + bool(args.autolr))


class _SamePairs:
    """In place of a `PairSampler`: each micro-batch has the same pairs.

    Args:
        pairs: Of one micro-batch.
        micro_batches: Of one step.
    """

    def __init__(self, pairs: Sequence[Pair], micro_batches: int) -> None:
        self._pairs, self._all = pairs, [*pairs] * micro_batches * _STEPS

    def set_epoch(self, epoch: int) -> None:
        """All are the same."""

    def __len__(self) -> int:
        return len(self._all)

    def __iter__(self) -> Iterator[Pair]:
        return iter(self._all)

    def retain_rows(self, start: int, count: int) -> list[int]:
        """Retain rows of a probe."""
        return [self._pairs[i % len(self._pairs)].retain for i in range(count)]

    def protected_rows(self, start: int, count: int) -> list[int | None]:
        """Protected rows of a probe."""
        return [self._pairs[i % len(self._pairs)].protect for i in range(count)]


class _SingleLossProbe(AutoLR):
    """AutoLR whose probe evaluates a single loss: more would not need more memory."""

    def __init__(self, settings: Any, mode: FakeRun) -> None:
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


def _fake(compared: Compared, model: nn.Module) -> Compared:
    """The same as fake tensors; the base model has the shapes of the model in training."""
    references, teacher = (
        None if one is None else _FakeReferences(one.log_probs) for one in (compared.references, compared.teacher)
    )
    levels = None
    if compared.levels is not None:
        levels, teacher = _FakeLevels(), teacher or _FakeReferences(set())
    made: Any = _FakeCompared
    found: Compared = made(references=references, teacher=teacher, levels=levels, base_model=model)
    return found


class _FakeCompared(Compared):
    def base_loss(self) -> None:
        """Not known."""
        return None


class _FakeLevels:
    """Levels as fake tensors."""

    def fix(self, losses: Sequence[Tensor]) -> None:
        """Nothing to note."""

    @staticmethod
    def is_due(step: int) -> bool:
        """Nothing is measured again: `step` has no losses."""
        return False

    def of(self, batch: Mapping[str, Tensor], answers: Answers) -> Tensor:
        """One level for each answer token."""
        return answers.nll.detach().clone()


class _FakeReferences:
    """References, the outputs of another model, as fake tensors."""

    def __init__(self, log_probs: set[str]) -> None:
        self.log_probs = log_probs
        self._head: FrozenHead | None = None

    def compute(self, model: nn.Module, *args: Any, **options: Any) -> str:
        """The head that is kept."""
        head = frozen_head(model, copy=False) if self.log_probs else None
        if head is not None:
            self._head = copy.copy(head)
            self._head.weight = head.weight.clone()
        return "not asked"

    def losses(self, name: str) -> list[Tensor]:
        """None are known."""
        return []

    def of(self, name: str, batch: Mapping[str, Tensor], answers: Answers) -> Reference:
        """Of the same tokens."""
        log_probs = None
        if name in self.log_probs and answers.logits is not None:
            width = answers.logits.shape[1] if self._head is None else self._head.weight.shape[1]
            dtype = torch.float32 if self._head is None else self._head.weight.dtype
            states = answers.logits.new_empty((answers.nll.shape[0], width), dtype=dtype)
            log_probs = states.log_softmax(-1) if self._head is None else self._head.log_probs(states)
        return Reference(answers.nll.detach().clone(), log_probs)


@contextlib.contextmanager
def rehearsal_options(config: UnlearnConfig) -> Iterator[UnlearnConfig]:
    """Options of a run of two steps, each with a probe, that writes and prints nothing; its folder is temporary."""
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
    options.fused_loss = "none"  # kernels need values
    options.eval_generate_steps, options.utility_floor = 0, None  # as do answers
    if options.device.type == "cpu" and options.stash_device == "cpu":
        options.stash_device = "meta"  # counted separately, as if the model were on an accelerator
    disabled = logging.root.manager.disable
    logging.disable(logging.WARNING)
    try:
        with tempfile.TemporaryDirectory() as folder:
            options.output_dir = folder
            yield options
    finally:
        logging.disable(disabled)
