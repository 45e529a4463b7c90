"""`UnlearnTrainer`: a `transformers.Trainer` that takes two gradients a step.

One step: retain and forget passes run one after the other, with only one graph alive; after the last micro-batch the
Gramian of the two gradients goes to the weighting and both are combined in place (`ngdiff.training.gradients`), and
AutoLR, when due, probes along the step that the optimizer would take (`ngdiff.training.probing`). Then the optimizer
steps as in any other run.
"""

import copy
import logging
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import torch
from peft import PeftConfig
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from torch.utils.data import DataLoader, Sampler, SequentialSampler
from transformers import PreTrainedModel, ProgressCallback, Trainer, TrainerCallback, TrainingArguments
from transformers.trainer_utils import EvalLoopOutput

from ngdiff.core import Answers, AutoLR, Gramian
from ngdiff.core.answers import Unit, count_units
from ngdiff.core.line import learning_rate
from ngdiff.core.slots import SIDES, Side
from ngdiff.errors import InputError
from ngdiff.evaluation.eval_mode import eval_mode
from ngdiff.files import without_nan
from ngdiff.modeling.adapter import add_adapter
from ngdiff.modeling.load import load_model, load_tokenizer
from ngdiff.modeling.save import save_model, whole_state
from ngdiff.modeling.vocabulary import with_usable_pad
from ngdiff.objectives import Objective, forget_ceiling
from ngdiff.speed.cpu.denormals import denormals_are_zero
from ngdiff.tasks import Rows, Task, TextTask
from ngdiff.tasks.alternates import beside, split_rows
from ngdiff.training.callbacks import RunCallback
from ngdiff.training.check_inherited import check_activation_checkpointing, check_best_metric
from ngdiff.training.checkpoint import RunState
from ngdiff.training.checkpointed import CheckpointedTrainer
from ngdiff.training.config import UnlearnConfig
from ngdiff.training.dropout import no_dropout
from ngdiff.training.gradients import Gradients, OneBuffer, TwoBuffers
from ngdiff.training.notices import notice_end, notice_start
from ngdiff.training.optimizers import OPTIMIZERS, make_optimizer, step_rate
from ngdiff.training.outcome import SAMPLE_ROWS, spread
from ngdiff.training.pairing import PairCollator, PairDataset, PairSampler
from ngdiff.training.precision import GRADIENT_NOISE, LOSS_NOISE, precision_of, refuse_half_precision
from ngdiff.training.probing import Prober, figures_of
from ngdiff.training.progress import StepProgress
from ngdiff.training.references import References
from ngdiff.training.schedule import KeepLearningRate
from ngdiff.training.sharding import check_accelerator, fresh_weights, has_shards
from ngdiff.training.weighing import Weigher
from ngdiff.weighting import Losses, Weights

logger = logging.getLogger(__name__)


class UnlearnTrainer(CheckpointedTrainer):
    """Make a model forget one set of rows and keep another.

    Args:
        model: A causal language model, or the name or folder of one, which is then loaded in float32.
        args: An `UnlearnConfig`.
        forget_dataset: Rows to forget: anything `ngdiff.data.read_rows` reads (files, hub names, `datasets`, lists of
            mappings in TRL's formats), or mappings with `input_ids` and `labels`.
        retain_dataset: Rows to keep, in the same forms.
        holdout_dataset: Rows the model never saw, for `forget_ceiling="holdout"`.
        eval_dataset: Rows whose loss is logged when `eval_strategy` asks for it: one set or a mapping of sets. By
            default the forget and the retain rows.
        processing_class: The tokenizer; by default the model's own, where `model` is a name.
        data_collator: Makes a batch of encoded rows.
        peft_config: A PEFT configuration such as `LoraConfig`: only the adapter is trained.
        task: What is particular to the kind of model and rows; by default a `TextTask`, language models.
        callbacks, optimizers: As in `transformers.Trainer`.

    Raises:
        InputError: rows, options or model that cannot be used.
        FloatingPointError: while training, a loss or gradient that is not finite; the weights have not moved.
    """

    args: UnlearnConfig

    def __init__(
        self,
        model: PreTrainedModel | nn.Module | str,
        args: UnlearnConfig,
        forget_dataset: Rows,
        retain_dataset: Rows,
        *,
        holdout_dataset: Rows = None,
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
            raise InputError("data_collator: a task makes batches of its own; give one of both")
        self.task: Task = task or TextTask(model, processing_class, args, data_collator)
        self.task.prepare(args.run_settings())
        forget, retain = self.task.encode_pair(forget_dataset, retain_dataset)
        self.forget_dataset: Sequence[Mapping[str, Any]] = forget
        self.retain_dataset: Sequence[Mapping[str, Any]] = retain
        self.holdout_dataset = self.task.encode_holdout(holdout_dataset) if holdout_dataset is not None else None
        if holdout_dataset is None:  # refuse `holdout` now, not after the first losses
            forget_ceiling(args.ceiling_form, vocabulary=2)
        self._objectives: dict[Side, Objective] = cast(Any, args.resolve_objectives())
        self.alternates = self.task.alternates() if "alternate" in self._objectives["forget"].needs else None
        evaluation_sets = self._evaluation_sets(eval_dataset, args)
        many = evaluation_sets if isinstance(evaluation_sets, Mapping) else None
        check_best_metric(args, ["eval_loss"] if many is None else [f"eval_{name}_loss" for name in many])
        check_activation_checkpointing(args, model)
        super().__init__(
            model=model,
            args=args,
            data_collator=PairCollator(self.task.collate, self.task.stand_in, alternates=self.alternates is not None),
            train_dataset=PairDataset(self.forget_dataset, self.retain_dataset, self.alternates),
            eval_dataset=evaluation_sets,
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
            self._objectives,
            args.seed,
            noise=GRADIENT_NOISE[precision],
            knows_cosine=args.gradient_buffers == 2,
        )
        self.run_state = RunState()
        self._references = References.needed(
            Path(str(args.output_dir), "reference"),
            self._objectives,
            {"retain": self.retain_dataset, "forget": self.forget_dataset},
            lambda: cast(Any, self.alternates).of_epochs(self._epochs(), seed=args.order_seed),
            self.task.hashed,
        )
        self._sampler = PairSampler(
            len(self.forget_dataset),
            len(self.retain_dataset),
            batch=self.args.rows_per_step,
            seed=self.args.order_seed,
            alternates=0 if self.alternates is None else len(self.alternates.answers),
            lengths=self._lengths(),
        )
        self.autolr = AutoLR(
            args.autolr_settings(retain_counts=self.weigher.retain_counts(), noise=LOSS_NOISE[precision])
        )
        self._prober = Prober(
            self.autolr,
            args,
            self._sampler,
            self.retain_dataset,
            self.task.collate,
            rereads=args.disable_dropout and self.task.same_in_evaluation,
        )
        self._gradients: Gradients = TwoBuffers()  # of no weights: `start_run` knows which are trained
        self._pass: tuple[Side, float] | None = None  # whose it is, and the factor of its objective
        self._totals: dict[str, Tensor | float] = {}
        self._figures: dict[str, float] = {}
        self._combined_norm = 0.0
        self._idle = ""  # why the last step moved nothing
        self._asked_to_stop = 0.0  # processes, at the last sum of the losses
        self._operations_each: int | None = None  # of a run, for each number that goes into the model
        self._pending_logs: list[dict[str, float]] = []
        if self.pop_callback(ProgressCallback) is not None:  # it prints every log line in full, one a step
            self.add_callback(StepProgress)
        self.callback_handler.callbacks.insert(0, RunCallback(self))

    # ---- data ------------------------------------------------------------------------------------------------------

    @property
    def template_name(self) -> str | None:
        """Name of the template that put the questions; None where all rows came encoded."""
        return self.task.template_name

    @property
    def ceiling(self) -> float | None:
        """Forget loss, in nats a token, above which the forget gradient rests; None for none, and before a run."""
        return self.weigher.ceiling

    def _evaluation_sets(self, given: Rows, args: UnlearnConfig) -> Any:
        if given is None:
            if args.eval_strategy == "no" and not args.eval_on_start:
                return None
            return {"forget": self.forget_dataset, "retain": self.retain_dataset}
        if isinstance(given, Mapping):
            return {name: self.task.encode(rows, f"evaluation set {name}") for name, rows in given.items()}
        return self.task.encode(given, "evaluation set")

    def _lengths(self) -> tuple[list[int], list[int]] | None:
        """Lengths of the rows of both sides, where steps are grouped by them."""
        if self.args.train_sampling_strategy == "random":
            return None
        forget, retain = self.task.lengths(self.forget_dataset), self.task.lengths(self.retain_dataset)
        return None if forget is None or retain is None else (forget, retain)

    def _get_train_sampler(self, train_dataset: Any = None) -> PairSampler:
        return self._sampler

    def _get_eval_sampler(self, eval_dataset: Any) -> Sampler[int] | None:
        """Evaluation rows in their order; Trainer would sort them by a length that not every task has."""
        return SequentialSampler(eval_dataset) if self.args.world_size <= 1 else None

    def _set_signature_columns_if_needed(self) -> None:
        super()._set_signature_columns_if_needed()  # a user's collator may make other inputs of the model
        self._signature_columns: Any = [*(self._signature_columns or ()), *self.task.inputs, *SIDES, "alternate"]

    def _get_num_items_in_batch(self, batch_samples: list[Any], device: torch.device) -> Any:
        """Number of units of each side in the whole effective batch, over all micro-batches and processes."""
        if not batch_samples or "retain" not in batch_samples[0]:
            return None
        counts: dict[str, Tensor] = {}
        for side in SIDES:
            objective = self._objectives[side]
            own = [batch[side] for batch in batch_samples]
            learned = own if objective.own_answers else [batch["alternate"] for batch in own]
            counts[side] = self._count(learned, objective.unit, device)
            counts[f"{side}_tokens"] = self._count(own, "token", device)
        return counts

    def _count(self, batches: Sequence[Mapping[str, Tensor]], unit: Unit, device: torch.device) -> Tensor:
        here = torch.stack([count_units(batch["labels"], unit) for batch in batches]).sum()
        return self._global_sum(here.to(device))

    def floating_point_ops(self, inputs: Mapping[str, Any]) -> int:
        """Operations of both sides' passes."""
        if "retain" not in inputs:
            return super().floating_point_ops(dict(inputs))
        name = getattr(self.model, "main_input_name", "input_ids")
        if name not in inputs["retain"]:
            return 0
        if self._operations_each is None:  # Trainer would count the model's parameters anew for each batch
            self._operations_each = super().floating_point_ops({name: torch.empty(1)})
        return self._operations_each * sum(int(inputs[side][name].numel()) for side in SIDES)

    def _track_num_input_tokens(self, inputs: Mapping[str, Any]) -> None:
        for side in SIDES:
            super()._track_num_input_tokens(inputs[side])

    # ---- the two passes --------------------------------------------------------------------------------------------

    def train(self, *args: Any, **kwargs: Any) -> Any:
        """Train as `transformers.Trainer.train`; afterwards dropout rates are what they were.

        Where an objective compares with the model before unlearning, that is `model` as it is now, also when this is
        called again; for a run that resumes it is the one that the run began with.
        """
        model = cast(nn.Module, self.model)
        try:
            with denormals_are_zero(), no_dropout(model, self.args.disable_dropout), self.task.training(model):
                result = super().train(*args, **kwargs)
        finally:
            self._gradients = TwoBuffers()  # of no weights: nothing is kept for a next step
        self.use_averaged_weights()
        return result

    def training_step(self, model: nn.Module, inputs: Mapping[str, Any], num_items_in_batch: Any = None) -> Tensor:
        """One micro-batch of each side; after the last one of a step `.grad` is the combined gradient.

        Returns:
            The retain objective of the step with its last micro-batch, 0 with the others.
        """

        def run(side: Side, batch: Mapping[str, Any], factor: float) -> None:
            self._pass = (side, factor)
            try:
                super(UnlearnTrainer, self).training_step(model, dict(batch), num_items_in_batch)
            finally:
                self._pass = None

        step = self.state.global_step + 1
        self._prober.see(inputs["retain"], step)
        self._gradients.add({side: inputs[side] for side in SIDES}, run)
        if not self.accelerator.sync_gradients:
            return torch.zeros((), device=self.args.device)
        self._gradients.combine(lambda products: self._weigh(products, step), run)
        self._totals = {}
        self._figures = dict(self.weigher.figures)
        return torch.tensor(self._figures["objective_retain"], device=self.args.device)

    def compute_loss(
        self, model: nn.Module, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The objective of the side whose pass this is, over its share of the effective batch, times the pass's factor.

        In evaluation: mean loss of the answer tokens of the batch, in nats.
        """
        if self._pass is None:
            nll = self.task.forward(model, inputs).nll
            loss = nll.mean() if nll.numel() else nll.sum()
            return (loss, {"loss": loss}) if return_outputs else loss
        side, factor = self._pass
        answers = self._answers(model, inputs, side)
        # Processes average their gradients, each divided by the global count: the product undoes the average.
        processes = self.accelerator.num_processes
        # A batch without any unit, in no process: 0 and not 0 / 0.
        units = num_items_in_batch[side].clamp(min=1)
        loss = self._objectives[side](answers) * processes / units
        if processes > 1:
            # An objective on hidden states leaves the layers above alone, and DDP waits for gradients of all weights.
            loss = loss + 0.0 * answers.nll.sum()
        nll = answers.nll.detach().sum() / num_items_in_batch[f"{side}_tokens"].clamp(min=1)
        self._add(f"nll_{side}", nll)
        self._add(f"objective_{side}", loss.detach() / processes)
        return loss if factor == 1.0 else loss * factor

    def _answers(self, model: nn.Module, batch: Mapping[str, Any], side: Side) -> Answers:
        """What the model says of one batch, with all that the side's objective needs."""
        objective = self._objectives[side]
        other = batch.get("alternate")
        if other is None:
            answers = self.task.forward(model, batch, objective.needs, self._layer(objective))
            return self._with_reference(side, batch, answers)
        if not objective.own_answers:  # their losses are only logged and compared with the ceiling
            with torch.no_grad():
                answers = self.task.forward(model, batch)
            return replace(answers, alternate=self.task.forward(model, other))
        rows = batch["labels"].shape[0]
        own, alternate = split_rows(self.task.forward(model, beside(dict(batch), other), objective.needs), rows)
        alternate = self._with_reference("alternate", other, alternate)
        return replace(self._with_reference(side, batch, own), alternate=alternate)

    def _with_reference(self, name: str, batch: Mapping[str, Any], answers: Answers) -> Answers:
        if self._references is None:
            return answers
        with torch.no_grad(), self.accelerator.autocast():
            return self._references.attach(name, batch, answers)

    def _layer(self, objective: Objective) -> int | None:
        if objective.layer is None or "hidden" not in objective.needs:
            return None
        config = cast(Any, self.model).config.get_text_config(decoder=True)
        return objective.layer(int(config.num_hidden_layers))

    def _add(self, name: str, value: Tensor) -> None:
        self._totals[name] = self._totals.get(name, 0.0) + value

    def _weigh(self, products: Gramian, step: int) -> Weights:
        """Weights of the step's gradients, from the losses of all processes."""
        names = ("nll_retain", "nll_forget", "objective_retain", "objective_forget")
        asked = torch.full((), float(self.stop_request.by is not None), device=self.args.device)
        totals = self._global_sum(torch.stack([*(cast(Tensor, self._totals[name]).float() for name in names), asked]))
        loss_r, loss_f, objective_r, objective_f, self._asked_to_stop = totals.tolist()
        weights = self.weigher.weigh(
            products,
            token_losses=Losses(loss_r, loss_f),
            objective_losses=Losses(objective_r, objective_f),
            step=step,
            state=self.run_state.weighting,
        )
        self._combined_norm = products.norm_of(*weights)
        if self.weigher.idle and not self._idle:  # once, not with each of many steps
            logger.warning("Step %d: the weights stay as they are: %s.", step, self.weigher.idle)
        self._idle = self.weigher.idle
        return weights

    def _agree_to_stop(self) -> bool:
        # In several processes what all of them summed in this step: a signal that came later counts in the next one.
        return self._asked_to_stop > 0 if self.args.world_size > 1 else super()._agree_to_stop()

    def _get_grad_norm(self, model: nn.Module, grad_norm: Any = None) -> Any:
        """For the log: from the inner products, where they are known; Trainer goes over the gradient twice for it."""
        if grad_norm is None and self.args.gradient_buffers == 2:
            return self._combined_norm
        return super()._get_grad_norm(model, grad_norm=grad_norm)

    # ---- the learning rate -----------------------------------------------------------------------------------------

    def choose_learning_rate(self) -> None:
        """Probe and set the learning rate if this step asks for it. Gradients are final when this runs."""
        optimizer: Any = self.optimizer
        while hasattr(optimizer, "optimizer"):  # accelerate's wrapper skips steps and counts them
            optimizer = optimizer.optimizer
        step = self.state.global_step + 1
        if self._prober.is_due(step):
            self._probe(optimizer, step)
        # Trainer logs its schedule's rate, which is the one before the probe.
        name = self.args.optimizer
        self._figures["learning_rate"] = learning_rate(optimizer) if name is None else step_rate(name, optimizer)
        self._pending_logs.append(self._figures)

    def _probe(self, optimizer: Optimizer, step: int) -> None:
        model = self.model_wrapped
        with eval_mode(model):  # no dropout: every loss of a probe must see the same model
            probe = self._prober.probe(
                optimizer,
                step,
                lambda batches: self._retain_loss(model, batches),
                step_loss=self._figures["loss_retain"],
            )
        self.run_state.probes.append({"step": step, **probe.as_dict()})
        self._figures |= figures_of(probe)

    def _retain_loss(self, model: nn.Module, batches: Sequence[Mapping[str, Tensor]]) -> float:
        """Mean cross-entropy a token over the batches and processes: what the paper's `phi` measures."""
        nll_sum, tokens = 0.0, 0
        with fresh_weights(model):
            for batch in batches:
                inputs = self._prepare_inputs(dict(batch))
                with self.compute_loss_context_manager():
                    nll = self.task.forward(model, inputs).nll
                nll_sum += float(nll.cpu().double().sum())  # on the host: some accelerators have no fp64
                tokens += nll.numel()
        if self.args.world_size > 1:
            here = torch.tensor([nll_sum, tokens], dtype=torch.float32, device=self.args.device)
            nll_sum, tokens = self._global_sum(here).tolist()
        return nll_sum / max(tokens, 1)

    def evaluation_loop(
        self,
        dataloader: DataLoader[Any],
        description: str,
        prediction_loss_only: bool | None = None,
        ignore_keys: list[str] | None = None,
        metric_key_prefix: str = "eval",
    ) -> EvalLoopOutput:
        """The mean loss a token of a set, exact in any number of processes; Trainer's is a mean of batches' means."""
        optimizer: Any = self.optimizer
        if hasattr(optimizer, "eval"):  # of an average of weights, which the model then holds
            optimizer.eval()
        rows: Any = dataloader.dataset
        self.callback_handler.eval_dataloader = dataloader
        metrics = {f"{metric_key_prefix}_loss": self.mean_loss(rows)}
        return EvalLoopOutput(predictions=cast(Any, None), label_ids=None, metrics=metrics, num_samples=len(rows))

    def mean_loss(self, dataset: Sequence[Mapping[str, Any]], rows: int | None = None) -> float:
        """Mean cross-entropy a token, in nats, over `rows` rows, evenly spread (all by default), without gradients.

        Processes share the rows; all of them must call it.
        """
        size = self.args.per_device_eval_batch_size
        chosen = [dataset[i] for i in spread(len(dataset), rows or len(dataset))]
        batches = [chosen[start : start + size] for start in range(0, len(chosen), size)]
        # As many passes in every process, as a sharded model needs; those that are left over count nothing.
        batches += [[self.task.stand_in(chosen[0])]] * (-len(batches) % self.args.world_size)
        own = [self.task.collate(batch) for batch in batches[self.args.process_index :: self.args.world_size]]
        model = cast(nn.Module, self.model)
        with eval_mode(model):
            return self._retain_loss(model, own)

    @property
    def loss_rows(self) -> dict[str, int]:
        """Rows of each set that the losses before and after a run are taken of: all to forget, and of those to keep as
        many, at least 256."""
        forget, retain = len(self.forget_dataset), len(self.retain_dataset)
        return {"forget": forget, "retain": min(retain, max(forget, SAMPLE_ROWS))}

    def losses(self) -> dict[str, float]:
        """Mean loss of both sets over `loss_rows`, in nats a token. All processes must call it."""
        rows = self.loss_rows
        return {
            "forget": self.mean_loss(self.forget_dataset),
            "retain": self.mean_loss(self.retain_dataset, rows=rows["retain"]),
        }

    # ---- around the run --------------------------------------------------------------------------------------------

    def start_run(self) -> None:
        """Before the first step: gradient buffers, both losses, references, the ceiling, warnings."""
        model = cast(nn.Module, self.model)
        self._operations_each = None
        self._gradients = self._make_gradients(p for p in model.parameters() if p.requires_grad)
        self.start_epoch()
        self._check_forward()
        self._prepare_references()
        if not self.run_state.initial_losses:
            self.run_state.initial_losses = self.losses()
            if self.holdout_dataset is not None:
                self.run_state.initial_losses["holdout"] = self.mean_loss(self.holdout_dataset)
        self._prober.resume(self.run_state.probes)
        losses = self.run_state.initial_losses
        self.weigher.ceiling = forget_ceiling(
            self.args.ceiling_form,
            vocabulary=self.task.choices(model),
            holdout_loss=losses.get("holdout"),
        )
        notice_start(losses, self.ceiling, unit=self.task.unit, conditions=self.task.conditions)

    def _make_gradients(self, parameters: Iterable[nn.Parameter]) -> Gradients:
        if self.args.gradient_buffers == 1:
            return OneBuffer(parameters)
        stash_dtype = None if self.args.stash_dtype == "same" else getattr(torch, self.args.stash_dtype)
        stash_device = None if self.args.stash_device == "same" else self.args.stash_device
        return TwoBuffers(parameters, stash_dtype=stash_dtype, stash_device=stash_device)

    def _check_forward(self) -> None:
        """Let the task see that what it saves in a pass changes nothing, on the first rows to forget."""
        size = min(self.args.per_device_train_batch_size, len(self.forget_dataset))
        batch = self._prepare_inputs(self.task.collate([self.forget_dataset[i] for i in range(size)]))
        model = cast(nn.Module, self.model)
        with eval_mode(model), self.compute_loss_context_manager():
            self.task.check_forward(model, batch)

    def end_run(self) -> None:
        """After the last step: say so where the run ended long before its ceiling."""
        if self._stop_agreed and self.state.global_step < self.state.max_steps:
            return  # it goes on
        logged = [row["loss_forget"] for row in self.state.log_history if "loss_forget" in row]
        notice_end(logged, self.ceiling, self.state.global_step)

    def start_epoch(self) -> None:
        """Pairs of this epoch, counted by steps: `state.epoch` is a sum of fractions, and may be short of a whole."""
        self._sampler.set_epoch(self.state.global_step // (len(self._sampler) // self.args.rows_per_step))

    # ---- the model before unlearning -------------------------------------------------------------------------------

    def _epochs(self) -> int:
        """Passes over the forget set, the last one counted whole."""
        steps = -(-len(self.forget_dataset) // self.args.rows_per_step)
        return -(-self.args.max_steps // steps) if self.args.max_steps > 0 else math.ceil(self.args.num_train_epochs)

    def _prepare_references(self) -> None:
        if self._references is None:
            return
        if self.state.global_step > 0:  # the weights are no longer those before unlearning
            self._references.require(self.run_state.references)
            return
        # Autocast: the kept head computes in the precision of the model's.
        with fresh_weights(self.model_wrapped), self.accelerator.autocast():
            self.run_state.references = self._references.compute(
                self.model_wrapped,
                self.task.forward,
                self.task.collate,
                batch_size=self.args.per_device_eval_batch_size,
                device=self.args.device,
                process=self.args.process_index,
                processes=self.args.world_size,
                wait=self.accelerator.wait_for_everyone,
            )

    # ---- the optimizer ---------------------------------------------------------------------------------------------

    def create_optimizer(self, model: nn.Module | None = None) -> Optimizer:
        """That of `--optimizer`, else that of `--optim`."""
        if self.args.optimizer is None or self.optimizer is not None:
            return super().create_optimizer(model) if model is not None else super().create_optimizer()
        chosen = model or self.model
        parameters = [p for p in cast(nn.Module, chosen).parameters() if p.requires_grad]
        self.optimizer = make_optimizer(
            self.args.optimizer,
            parameters,
            learning_rate=self.args.starting_rate,
            weight_decay=self.args.weight_decay,
        )
        return self.optimizer

    def use_averaged_weights(self) -> None:
        """Put the average of an averaging optimizer into the model: the weights to save and to use."""
        name, optimizer = self.args.optimizer, cast(Any, self.optimizer)
        if name is not None and OPTIMIZERS[name].averages and optimizer is not None:
            optimizer.eval()

    @staticmethod
    def get_optimizer_cls_and_kwargs(args: TrainingArguments, model: PreTrainedModel | None = None) -> Any:
        """The optimizer of `--optim`, started at a number: `learning_rate` may be `auto`."""
        if isinstance(args, UnlearnConfig):
            rate, args = args.starting_rate, copy.copy(args)
            args.learning_rate = rate
        return Trainer.get_optimizer_cls_and_kwargs(args, model)

    def create_scheduler(self, num_training_steps: int, optimizer: Optimizer | None = None) -> LRScheduler:
        """Under AutoLR a schedule that keeps the rate it finds; stock schedules write their own."""
        if self.args.autolr and self.lr_scheduler is None:
            self.lr_scheduler = cast(Any, KeepLearningRate(cast(Optimizer, optimizer or self.optimizer)))
            self._created_lr_scheduler = True
        return super().create_scheduler(num_training_steps, optimizer)

    def log(self, logs: dict[str, float], start_time: float | None = None) -> None:
        """Add to a training log line the steps' own figures: their mean since the last line, the last learning rate."""
        if "loss" in logs and self._pending_logs:
            for name in {name: None for figures in self._pending_logs for name in figures}:
                values = [figures[name] for figures in self._pending_logs if name in figures]
                logs[name] = values[-1] if name == "learning_rate" else sum(values) / len(values)
            self._pending_logs = []
        super().log(logs, start_time)
        if self.state.log_history:
            self.state.log_history[-1] = without_nan(self.state.log_history[-1])

    def save_to(self, folder: str | Path, tokenizer: Any) -> list[str]:
        """Write the model, or its adapter, and the tokenizer as `ngdiff.modeling.save_model` does.

        The first process writes; all of them must call it.

        Returns:
            Names of the files; none in the other processes.

        Raises:
            OSError: the disk is full, or the folder cannot be written.
        """
        model: Any = self.accelerator.unwrap_model(cast(nn.Module, self.model))
        first = self.args.process_index == 0
        state = whole_state(model, keep=first) if has_shards(model) else None
        files = save_model(model, tokenizer, folder, state=state) if first else []
        self.accelerator.wait_for_everyone()
        return files

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        super()._save_optimizer_and_scheduler(output_dir)
        if self.args.should_save:
            self.run_state.pending_logs = self._pending_logs
            self.run_state.save(output_dir)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is not None:
            self.run_state = RunState.load(checkpoint)
            self._pending_logs = list(self.run_state.pending_logs)

    def _global_sum(self, value: Tensor) -> Tensor:
        return value if self.args.world_size == 1 else cast(Tensor, self.accelerator.reduce(value, "sum"))
