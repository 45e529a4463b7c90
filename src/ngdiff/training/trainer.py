"""`UnlearnTrainer`: a `transformers.Trainer` that takes two gradients a step.

The step itself is `ngdiff.training.step`: both passes, Gramian, weights, combination. Then AutoLR, when due, probes
along the step that the optimizer would take (`ngdiff.training.probing`), and the optimizer steps as in any other run.
This file and those of the bases connect them to the methods and callbacks of `transformers.Trainer`. Each base is one
matter, from the last to the first: `saving`, `checkpointed`, `chosen_optimizer`, `mean_loss`, `paired`, `moving`,
`arriving`.
"""

from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch
from peft import PeftConfig
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from transformers import PreTrainedModel, ProgressCallback, TrainerCallback

from ngdiff.core import AutoLR
from ngdiff.core.slots import SIDES, Side
from ngdiff.errors import InputError
from ngdiff.modeling.adapter import add_adapter
from ngdiff.modeling.load import load_model, load_tokenizer
from ngdiff.modeling.vocabulary import with_usable_pad
from ngdiff.objectives import Objective
from ngdiff.speed.cpu.denormals import denormals_are_zero
from ngdiff.tasks import Rows, Task, TextTask
from ngdiff.tasks.base import QuickMeasure
from ngdiff.training.arriving import ArrivingTrainer
from ngdiff.training.base_model import BaseModel
from ngdiff.training.callbacks import RunCallback
from ngdiff.training.check_inherited import check_activation_checkpointing, check_best_metric
from ngdiff.training.checkpoint import RunState
from ngdiff.training.compared import Compared
from ngdiff.training.config import UnlearnConfig
from ngdiff.training.dropout import no_dropout
from ngdiff.training.levels import Levels
from ngdiff.training.moments import Observer, unobserved
from ngdiff.training.notices import notice_end, notice_not_arrived
from ngdiff.training.pairing import PairCollator, PairDataset
from ngdiff.training.precision import GRADIENT_NOISE, LOSS_NOISE, precision_of, refuse_half_precision
from ngdiff.training.prepare import make_step, prepare
from ngdiff.training.probing import Prober
from ngdiff.training.progress import StepProgress
from ngdiff.training.rollback import Rollback
from ngdiff.training.sets import read_sets
from ngdiff.training.sharding import check_accelerator
from ngdiff.training.step import TwoGradientStep
from ngdiff.training.step_log import StepLog
from ngdiff.training.utility_floor import UtilityFloor
from ngdiff.training.weighing import Weigher
from ngdiff.writing import without_nan

_PASS = "pass"  # key of a batch: the side of the pass, and the factor of its objective


class UnlearnTrainer(ArrivingTrainer):
    """Make a model forget one set of rows and keep another.

    Args:
        model: A causal language model, or the name or folder of one, which is then loaded in float32.
        args: An `UnlearnConfig`.
        forget_dataset: Rows to forget: anything `ngdiff.data.read_rows` reads (files, hub names, `datasets`, lists of
            mappings in TRL's formats), or mappings with `input_ids` and `labels`.
        retain_dataset: Rows to keep, in the same forms.
        holdout_dataset: Rows the model never saw, for levels and `forget_ceiling="holdout"`.
        protect_dataset: Rows in neither set, of any kind, for which the model is to predict what it predicts now. The
            retain side minimises its objective plus their mean `KL(before || now)` a token, which counts where the
            learning rate is found, too.
        base_model: The model before fine-tuning, which never saw the rows to forget, with the same tokens: a model, the
            name or folder of one, or a function that loads it. For objectives that come near what it says; it is asked
            once, before the first step.
        eval_dataset: Rows whose loss is logged when `eval_strategy` asks for it: one set or a mapping of sets. By
            default the forget and the retain rows.
        processing_class: The tokenizer; by default the model's own, where `model` is a name.
        data_collator: Makes a batch of encoded rows.
        peft_config: A PEFT configuration such as `LoraConfig`: only the adapter is trained.
        task: The kind of model and rows; by default a `TextTask`, for language models.
        callbacks, optimizers: As in `transformers.Trainer`.

    Raises:
        InputError: rows, options or model that cannot be used.
        FloatingPointError: while training, a loss or gradient that is not finite; the weights have not moved.
    """

    def __init__(
        self,
        model: PreTrainedModel | nn.Module | str,
        args: UnlearnConfig,
        forget_dataset: Rows,
        retain_dataset: Rows,
        *,
        holdout_dataset: Rows = None,
        protect_dataset: Rows = None,
        base_model: BaseModel | None = None,
        eval_dataset: Rows = None,
        processing_class: Any = None,
        data_collator: Callable[..., Any] | None = None,
        peft_config: PeftConfig | None = None,
        task: Task | None = None,
        callbacks: list[TrainerCallback] | None = None,
        optimizers: tuple[Optimizer | None, LRScheduler | None] = (None, None),
    ) -> None:
        if isinstance(model, str | Path):
            processing_class = processing_class or load_tokenizer(model)
            model = load_model(model, dtype="float32")  # small steps are lost in the digits of half precision
        refuse_half_precision(model)
        if peft_config is not None:
            model = add_adapter(model, peft_config, seed=args.seed)
        if task is not None and data_collator is not None:
            raise InputError("data_collator: a task makes its own batches; give only one of the two")
        self.task: Task = task or TextTask(model, processing_class, args, data_collator)
        unseen = holdout_dataset is not None and self.task.holdout_is_like_forget
        args.know(base_model=base_model is not None, holdout=unseen, retain=self.task.auto_retain)
        self.task.prepare(replace(args.run_settings(), protects=protect_dataset is not None))
        self.objectives: dict[Side, Objective] = cast(Any, args.resolve_objectives())
        sets = read_sets(
            self.task,
            self.objectives,
            args,
            forget_dataset,
            retain_dataset,
            holdout=holdout_dataset,
            protect=protect_dataset,
            evaluation=eval_dataset,
        )
        self.forget_dataset, self.retain_dataset, self.holdout_dataset = sets.forget, sets.retain, sets.holdout
        self.protect_dataset, self.alternates = sets.protect, sets.alternates
        many = sets.evaluation if isinstance(sets.evaluation, Mapping) else None
        check_best_metric(args, ["eval_loss"] if many is None else [f"eval_{name}_loss" for name in many])
        check_activation_checkpointing(args, model)
        super().__init__(
            model=model,
            args=args,
            data_collator=PairCollator(
                self.task.collate,
                self.task.placeholder,
                alternates=self.alternates is not None,
                protect=self.protect_dataset is not None,
            ),
            train_dataset=PairDataset(self.forget_dataset, self.retain_dataset, self.alternates, self.protect_dataset),
            eval_dataset=sets.evaluation,
            processing_class=with_usable_pad(processing_class, model),
            callbacks=callbacks,
            optimizers=cast(Any, optimizers),  # annotated too narrowly: any scheduler will do
        )
        check_accelerator(self)
        # `compute_loss` divides by the count of the whole effective batch: Trainer must not divide again.
        self.model_accepts_loss_kwargs = True
        self.loss_is_scaled_for_ga = True
        precision = precision_of(cast(nn.Module, self.model), mixed=self.accelerator.mixed_precision)
        self.weigher = Weigher(
            args.resolve_weighting(),
            self.objectives,
            args.seed,
            noise=GRADIENT_NOISE[precision],
            knows_cosine=args.gradient_buffers == 2,
        )
        self.run_state = RunState()
        self.compared = Compared.needed(
            args, self.objectives, sets, self.task.hashed, base_model, level_rows=self.task.level_rows
        )
        self.sampler = sets.sampler(self.task, args)
        settings = args.autolr_settings(
            retain_counts=self.weigher.retain_counts(),
            noise=LOSS_NOISE[precision],
            measure_noise=precision == "bfloat16",
            origin_device=args.waiting_device,
        )
        self.prober = Prober(
            AutoLR(settings),
            args,
            self.sampler,
            cast(PairDataset, self.train_dataset),
            cast(PairCollator, self.data_collator),
            rereads=args.disable_dropout and self.task.same_in_evaluation,
        )
        measured = self.task.quick_measure if args.measured_steps else None
        self.quick_measure = measured and measured(self.forget_dataset, self.retain_dataset)
        self.observe: Observer = unobserved
        self.step_log = StepLog()
        self._step: TwoGradientStep | None = None  # between the start and the end of a run
        self._floor: UtilityFloor | None = None  # the same, with `--utility-floor`
        if self.pop_callback(ProgressCallback) is not None:  # it prints every log line in full, one a step
            self.add_callback(StepProgress)
        self.callback_handler.callbacks.insert(0, RunCallback(self))

    @property
    def template_name(self) -> str | None:
        """Name of the template that put the questions; None where all rows came encoded."""
        return self.task.template_name

    @property
    def ceiling(self) -> float | None:
        """Forget loss, in nats a token, above which the forget gradient rests; None for none, and before a run."""
        return self.weigher.ceiling

    # ---- a run -------------------------------------------------------------------------------------------------------

    def train(self, *args: Any, **kwargs: Any) -> Any:
        """Train as `transformers.Trainer.train`; afterwards dropout rates are what they were.

        Where an objective compares with the model before unlearning, that is `model` as it is now, also when this is
        called again; for a run that resumes it is the one that the run began with. Called again, losses before the run
        are taken anew, too; the optimizer goes on with the state that it has, as that of `transformers.Trainer` does.
        """
        model = cast(nn.Module, self.model)
        # What an earlier call left is of another run; one that resumes reads its own from the checkpoint.
        self.run_state, self.step_log = RunState(), StepLog()
        try:
            with (
                self.until_arrived(),
                denormals_are_zero(),
                no_dropout(model, self.args.disable_dropout),
                self.task.training(model),
            ):
                result = super().train(*args, **kwargs)
                if self._floor is not None:
                    self._floor.end()
        finally:
            self._step = self._rollback = self._floor = None  # nor are its buffers kept for a next one
        self.use_averaged_weights()
        return result

    def start_run(self) -> None:
        """Before the first step: gradient buffers, and what `ngdiff.training.prepare` finds out."""
        self._operations_each = None
        self.start_epoch()
        self._step = make_step(self)  # before any pass: sharded weights that a pass gathered would be taken for whole
        prepare(self)
        self._rollback = Rollback(self) if self.args.on_divergence == "rollback" else None
        if self.args.utility_floor is not None:
            self._floor = UtilityFloor(self, self.args.utility_floor)
            if self._last_whole is not None:
                self._floor.load(self._last_whole)

    def end_run(self) -> None:
        """After the last step: say so where the run ended long before its ceiling, or before its levels."""
        if self._stop_agreed and self.state.global_step < self.state.max_steps:
            return  # it goes on
        logged = [row["loss_forget"] for row in self.state.log_history if "loss_forget" in row]
        notice_end(logged, self.ceiling, self.state.global_step)
        if self.arrival is not None and not self.arrival.arrived and logged:
            notice_not_arrived(logged[-1], cast(Levels, self.compared.levels).mean(), self.state.global_step)

    # ---- a step ------------------------------------------------------------------------------------------------------

    def training_step(self, model: nn.Module, inputs: Mapping[str, Any], num_items_in_batch: Any = None) -> Tensor:
        """One micro-batch of each side; after the last one of a step `.grad` is the combined gradient.

        Returns:
            The retain objective of the step with its last micro-batch, 0 with the others.
        """
        taken, number = cast(TwoGradientStep, self._step), self.state.global_step + 1

        def run(side: Side, batch: Mapping[str, Any], factor: float) -> None:
            super(UnlearnTrainer, self).training_step(model, {**batch, _PASS: (side, factor)}, num_items_in_batch)

        self.prober.see(inputs["retain"], number)
        taken.add({side: inputs[side] for side in SIDES}, run)
        if not self.accelerator.sync_gradients:
            return torch.zeros((), device=self.args.device)
        report = taken.finish(run, number=number, asked_to_stop=self.stop_request.by is not None)
        self.step_log.take(report)
        return torch.tensor(report.figures["objective_retain"], device=self.args.device)

    def compute_loss(
        self, model: nn.Module, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The objective of the side whose pass this is, over its share of the effective batch, times the pass's factor.

        In evaluation: mean loss of the answer tokens of the batch, in nats.
        """
        if _PASS in inputs:
            batch = dict(inputs)
            side, factor = batch.pop(_PASS)
            return cast(TwoGradientStep, self._step).loss(model, batch, side, factor, num_items_in_batch)
        nll = self.task.forward(model, inputs).nll
        loss = nll.mean() if nll.numel() else nll.sum()
        return (loss, {"loss": loss}) if return_outputs else loss

    def _agree_to_stop(self) -> bool:
        # In several processes what all of them summed in this step: a signal that came later counts in the next one.
        if self.args.world_size > 1 and self.step_log.last is not None:
            return self.step_log.last.asked_to_stop > 0
        return super()._agree_to_stop()

    def _get_grad_norm(self, model: nn.Module, grad_norm: Any = None) -> Any:
        """For the log: from the inner products, where they are known; Trainer goes over the gradient twice for it."""
        known = self.step_log.last.combined_norm if self.step_log.last is not None else None
        return known if grad_norm is None and known is not None else super()._get_grad_norm(model, grad_norm=grad_norm)

    def end_step(self) -> None:
        """After a step: a quick measure, if it is due; with a floor of Utility also after the last step."""
        super().end_step()
        step, every = self.state.global_step, self.args.measured_steps
        is_last = self._floor is not None and step >= self.state.max_steps
        if every and (step % every == 0 or is_last):
            found = self.measure()
            self.step_log.add(found)
            if self._floor is not None:
                self._floor.see(found["utility"])

    def measure(self) -> Mapping[str, float]:
        """Verbmem and Utility now, by a few answers."""
        with self.observe("quick measure"):
            return cast(QuickMeasure, self.quick_measure)(self.accelerator.unwrap_model(self.model))

    # ---- log and checkpoints -----------------------------------------------------------------------------------------

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add to a training log line the steps' own figures: their mean since the last line, the last learning rate."""
        if "loss" in logs:
            self.step_log.merge_into(logs)
        super().log(logs, start_time)
        if self.state.log_history:
            self.state.log_history[-1] = without_nan(self.state.log_history[-1])

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        super()._save_optimizer_and_scheduler(output_dir)
        if self.args.should_save:
            self.run_state.pending_logs = self.step_log.waiting
            self.run_state.save(output_dir)
            if self._floor is not None:
                self._floor.save(output_dir)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is not None:
            self.run_state = RunState.load(checkpoint)
            self.step_log.resume(self.run_state.pending_logs)
