"""`UnlearnTrainer`: a `transformers.Trainer` that takes two gradients a step.

One step: the retain micro-batches and the forget micro-batches run one after the other, each pass with its own
gradient buffers and only one graph alive; after the last micro-batch the Gramian of the two gradients goes to the
weighting, the buffers are combined in place, and AutoLR, when due, probes along the step that the optimizer would
take. Then the optimizer steps as in any other run.
"""

import copy
import logging
import math
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, cast

import torch
from peft import PeftConfig
from torch import Tensor, nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from transformers import (
    PreTrainedModel,
    ProgressCallback,
    Trainer,
    TrainerCallback,
    TrainerControl,
    TrainerState,
    TrainingArguments,
)

from ngdiff.core import AutoLR, GradientSlots, Gramian, combine, gramian
from ngdiff.core.line import learning_rate
from ngdiff.core.slots import Side
from ngdiff.data import AnswerCollator
from ngdiff.errors import InputError
from ngdiff.evaluation.eval_mode import eval_mode
from ngdiff.modeling.adapter import add_adapter
from ngdiff.modeling.answers import count_labelled_rows, count_labels, forward_answers
from ngdiff.modeling.load import load_model, load_tokenizer
from ngdiff.objectives import FORGET_OBJECTIVES, RETAIN_OBJECTIVES, Objective, forget_ceiling
from ngdiff.training.checkpoint import RunState, saving_checkpoint
from ngdiff.training.config import UnlearnConfig
from ngdiff.training.dropout import no_dropout
from ngdiff.training.pairing import PairCollator, PairDataset, PairSampler, retain_rows
from ngdiff.training.progress import StepProgress
from ngdiff.training.rows import RowEncoder, Rows
from ngdiff.training.schedule import KeepLearningRate
from ngdiff.weighting import WEIGHTINGS, Losses, Weights, weigh

logger = logging.getLogger(__name__)

SIDES: tuple[Side, ...] = ("retain", "forget")

# Relative rounding noise of one loss. fp32: sums over some hundred tokens agree to a few 1e-7 between orders of
# summation. bf16 weights or autocast: measured 3e-5 to 1.5e-4 of a curvature difference; rounded up.
_NOISE = {"float32": 1e-6, "bfloat16": 3e-4}

# A model that gives its forget answers less than this a token (22 % probability) hardly recites them.
_UNKNOWN_LOSS = 1.5

# A run whose forget loss never got to this part of its ceiling is called unfinished.
_UNFINISHED = 0.5


class UnlearnTrainer(Trainer):
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
        callbacks: list[TrainerCallback] | None = None,
        optimizers: tuple[Optimizer | None, LRScheduler | None] = (None, None),
    ) -> None:
        if isinstance(model, str | Path):
            processing_class = processing_class or load_tokenizer(model)
            model = load_model(model, dtype="float32")  # small steps are lost in the digits of half precision
        refuse_half_precision(model)
        if peft_config is not None:
            model = add_adapter(model, peft_config, seed=args.seed)
        self._encoder = RowEncoder(model, processing_class, args)
        self.forget_dataset, self.retain_dataset = self._encoder.pair(forget_dataset, retain_dataset)
        self.holdout_dataset = self._encoder(holdout_dataset, "--holdout") if holdout_dataset is not None else None
        if holdout_dataset is None:  # refuse `holdout` now, not after the first losses
            forget_ceiling(args.forget_ceiling, vocabulary=2)
        collate = data_collator or AnswerCollator(self._encoder.pad_token_id)
        super().__init__(
            model=model,
            args=args,
            data_collator=PairCollator(collate),
            train_dataset=PairDataset(self.forget_dataset, self.retain_dataset),
            eval_dataset=self._evaluation_sets(eval_dataset),
            processing_class=processing_class,
            callbacks=callbacks,
            optimizers=cast(Any, optimizers),  # annotated too narrowly: any scheduler will do
        )
        # `compute_loss` divides by the count of the whole effective batch: Trainer must not divide again.
        self.model_accepts_loss_kwargs = True
        self.loss_is_scaled_for_ga = True
        self._weighting = WEIGHTINGS[args.method]
        self._objectives: dict[Side, Objective] = {
            "retain": RETAIN_OBJECTIVES[args.retain_objective],
            "forget": FORGET_OBJECTIVES[args.forget_objective],
        }
        self.autolr = AutoLR(args.autolr_settings(retain_counts=self._retain_counts(), noise=self._noise()))
        self.run_state = RunState()
        self.ceiling: float | None = None
        self._sampler = PairSampler(
            len(self.forget_dataset), len(self.retain_dataset), batch=self._rows_per_step(), seed=args.seed
        )
        self._slots = GradientSlots([])
        self._side: Side | None = None
        self._totals: dict[str, Tensor | float] = {}
        self._step_batches: list[Mapping[str, Tensor]] = []
        self._figures: dict[str, float] = {}
        self._pending_logs: list[dict[str, float]] = []
        if self.pop_callback(ProgressCallback) is not None:  # it prints every log line in full, one a step
            self.add_callback(StepProgress)
        # First in the list: it must see final gradients before any callback of the user reads the learning rate.
        self.callback_handler.callbacks.insert(0, _BeforeOptimizerStep(self))

    # ---- data ------------------------------------------------------------------------------------------------------

    @property
    def template_name(self) -> str | None:
        """Name of the template that put the questions; None where all rows came encoded."""
        return self._encoder.template_name

    def _evaluation_sets(self, given: Rows) -> Any:
        if given is None:
            if self._encoder.args.eval_strategy == "no":
                return None
            return {"forget": self.forget_dataset, "retain": self.retain_dataset}
        if isinstance(given, Mapping):
            return {name: self._encoder(rows, f"evaluation set {name}") for name, rows in given.items()}
        return self._encoder(given, "evaluation set")

    def _rows_per_step(self) -> int:
        return self.args.train_batch_size * self.args.gradient_accumulation_steps * self.args.world_size

    def _get_train_sampler(self, train_dataset: Any = None) -> PairSampler:
        return self._sampler

    def _set_signature_columns_if_needed(self) -> None:
        self._signature_columns: Any = ["input_ids", "attention_mask", "labels", *SIDES]

    def _get_num_items_in_batch(self, batch_samples: list[Any], device: torch.device) -> Any:
        """Number of units of each side in the whole effective batch, over all micro-batches and processes."""
        if not batch_samples or "retain" not in batch_samples[0]:
            return None
        counts: dict[str, Tensor] = {}
        for side in SIDES:
            count = count_labels if self._objectives[side].unit == "token" else count_labelled_rows
            counts[side] = self._global_sum(
                sum((count(b[side]["labels"]) for b in batch_samples), torch.tensor(0)).to(device)
            )
            counts[f"{side}_tokens"] = self._global_sum(
                sum((count_labels(b[side]["labels"]) for b in batch_samples), torch.tensor(0)).to(device)
            )
        return counts

    def floating_point_ops(self, inputs: Mapping[str, Any]) -> int:
        """Operations of both sides' passes."""
        if "retain" not in inputs:
            return super().floating_point_ops(dict(inputs))
        return sum(super(UnlearnTrainer, self).floating_point_ops(inputs[side]) for side in SIDES)

    def _track_num_input_tokens(self, inputs: Mapping[str, Any]) -> None:
        for side in SIDES:
            super()._track_num_input_tokens(inputs[side])

    # ---- the two passes --------------------------------------------------------------------------------------------

    def train(self, *args: Any, **kwargs: Any) -> Any:
        """Train as `transformers.Trainer.train`; afterwards dropout rates are what they were."""
        with no_dropout(cast(nn.Module, self.model), self.args.disable_dropout):
            return super().train(*args, **kwargs)

    def training_step(self, model: nn.Module, inputs: Mapping[str, Any], num_items_in_batch: Any = None) -> Tensor:
        """One micro-batch of each side into its own gradient buffers; combined after the last one.

        Returns:
            The retain loss of this micro-batch, as a part of that of the effective batch.
        """
        losses: dict[Side, Tensor] = {}
        for side in SIDES:
            self._side = side
            try:
                with self._slots.filling(side):
                    losses[side] = super().training_step(model, dict(inputs[side]), num_items_in_batch)
            finally:
                self._side = None
        if self.args.autolr and self.args.autolr_batch == "same" and self.autolr.is_due(self.state.global_step + 1):
            self._step_batches.append(inputs["retain"])
        if self.accelerator.sync_gradients:
            self._combine_gradients()
        return losses["retain"]

    def compute_loss(
        self, model: nn.Module, inputs: Any, return_outputs: bool = False, num_items_in_batch: Any = None
    ) -> Any:
        """The objective of the side whose pass this is, over its share of the effective batch.

        In evaluation: mean loss of the answer tokens of the batch, in nats.
        """
        answers = forward_answers(model, inputs)
        if self._side is None:
            loss = answers.nll.mean() if answers.nll.numel() else answers.nll.sum()
            return (loss, {"loss": loss}) if return_outputs else loss
        # Processes average their gradients, each divided by the global count: the product undoes the average.
        processes = self.accelerator.num_processes
        loss = self._objectives[self._side].function(answers) * processes / num_items_in_batch[self._side]
        nll = answers.nll.detach().sum() / num_items_in_batch[f"{self._side}_tokens"]
        self._add(f"nll_{self._side}", nll)
        self._add(f"objective_{self._side}", loss.detach() / processes)
        return loss

    def _add(self, name: str, value: Tensor) -> None:
        self._totals[name] = self._totals.get(name, 0.0) + value

    # ---- one gradient from two -------------------------------------------------------------------------------------

    def _combine_gradients(self) -> None:
        step = self.state.global_step + 1
        g_r, g_f = self._slots.take("retain"), self._slots.take("forget")
        products = gramian(g_r, g_f)
        names = ("nll_retain", "nll_forget", "objective_retain", "objective_forget")
        totals = self._global_sum(torch.stack([cast(Tensor, self._totals[name]).float() for name in names]))
        loss_r, loss_f, objective_r, objective_f = totals.tolist()
        self._totals = {}
        self._refuse_non_finite(step, products, {"retain": loss_r, "forget": loss_f})

        weights = weigh(
            self._weighting,
            Losses(objective_r, objective_f),
            self._above_noise(products),
            step=step,
            seed=self.args.seed,
            state=self.run_state.weighting,
            parameters=self.args.weighting_parameters,
        )
        at_ceiling = self.ceiling is not None and loss_f >= self.ceiling
        if at_ceiling:
            weights = Weights(weights.retain, 0.0)
        combined = combine(g_r, g_f, *weights)
        nothing_to_do = weights == (0.0, 0.0)
        for parameter, gradient in zip(self._slots.parameters, combined, strict=True):
            # Without a gradient the optimizer leaves a parameter alone: no momentum, no decay.
            parameter.grad = None if nothing_to_do else gradient
        if nothing_to_do:
            logger.warning("Step %d: neither side asks for a change; the weights stay as they are.", step)
        total = weights.retain + weights.forget
        self._figures = {
            "loss_forget": loss_f,
            "loss_retain": loss_r,
            "norm_forget": products.norm_f,
            "norm_retain": products.norm_r,
            # Of the natural gradients, those of both cross-entropies for the default objectives: near 1 where
            # forgetting and keeping pull on the same weights.
            "cosine": -products.cosine,
            "weight_forget": weights.forget,
            "weight_retain": weights.retain,
            "c_t": weights.retain / total if total else 0.0,
            "at_ceiling": float(at_ceiling),
        }

    def _refuse_non_finite(self, step: int, products: Gramian, losses: Mapping[str, float]) -> None:
        squares = {"retain": products.a, "forget": products.b}
        for side, loss in losses.items():
            for what, value in (("loss", loss), ("squared gradient norm", squares[side])):
                if not math.isfinite(value):
                    raise FloatingPointError(
                        f"step {step}: the {what} of the {side} set is {value}; the weights have not moved in this "
                        "step. A smaller learning rate or a --forget-ceiling may help"
                    )

    def _above_noise(self, products: Gramian) -> Gramian:
        """The Gramian with a gradient that is only rounding noise taken for zero."""
        keep_r = products.norm_r > self._objectives["retain"].noise_floor
        keep_f = products.norm_f > self._objectives["forget"].noise_floor
        return Gramian(
            a=products.a if keep_r else 0.0,
            s=products.s if keep_r and keep_f else 0.0,
            b=products.b if keep_f else 0.0,
        )

    # ---- the learning rate -----------------------------------------------------------------------------------------

    def _retain_counts(self) -> bool:
        """Whether the weighting gives the retain gradient any weight."""
        example = Gramian(a=1.0, s=0.0, b=1.0)
        parameters = self.args.weighting_parameters
        return weigh(self._weighting, Losses(1.0, -1.0), example, parameters=parameters).retain > 0.0

    def _noise(self) -> float:
        model = cast(nn.Module, self.model)
        low = self.args.bf16 or any(p.dtype == torch.bfloat16 for p in model.parameters())
        return _NOISE["bfloat16" if low else "float32"]

    def choose_learning_rate(self) -> None:
        """Probe and set the learning rate if this step asks for it. Gradients are final when this runs."""
        optimizer: Any = self.optimizer
        while hasattr(optimizer, "optimizer"):  # accelerate's wrapper skips steps and counts them
            optimizer = optimizer.optimizer
        if self.args.autolr and self.autolr.is_due(self.state.global_step + 1):
            self._probe(optimizer, self.state.global_step + 1)
        # Trainer logs its schedule's rate, which is the one before the probe.
        self._figures["learning_rate"] = learning_rate(optimizer)
        self._pending_logs.append(self._figures)

    def _probe(self, optimizer: Optimizer, step: int) -> None:
        same = bool(self._step_batches)
        batches = self._step_batches or self._fresh_batches(step)
        self._step_batches = []
        model = self.model_wrapped
        with eval_mode(model):  # no dropout: every loss of a probe must see the same model
            probe = self.autolr.probe(
                optimizer,
                lambda: self._retain_loss(model, batches),
                search=self.autolr.settings.search and step == 1,
                here=self._figures["loss_retain"] if same and self.args.disable_dropout else None,
            )
        self.run_state.probes.append({"step": step, **probe.as_dict()})
        self._figures |= {
            "autolr/accepted": float(probe.accepted),
            "autolr/forwards": float(probe.forwards),
        }
        if probe.fits:
            last = probe.fits[-1]
            self._figures |= {
                "autolr/rho": last.rho,
                "autolr/slope": last.slope,
                "autolr/curvature": last.curvature,
            }

    def _fresh_batches(self, step: int) -> list[Mapping[str, Tensor]]:
        """Retain rows of a probe: those of the next step, as in GeN's own code.

        The rows that gave the gradient would flatter the step. While a pass over the retain rows lasts, the next ones
        have nothing in common with them.
        """
        count = self._rows_per_step()
        rows = retain_rows(step * count, count, len(self.retain_dataset), seed=self.args.seed)
        own = rows[self.args.process_index :: self.args.world_size]
        size = self.args.train_batch_size
        collate = cast(PairCollator, self.data_collator).collate
        return [
            collate([self.retain_dataset[i] for i in own[start : start + size]]) for start in range(0, len(own), size)
        ]

    def _retain_loss(self, model: nn.Module, batches: Sequence[Mapping[str, Tensor]]) -> float:
        """Mean cross-entropy a token over the batches and processes: what the paper's `phi` measures."""
        nll_sum, tokens = 0.0, 0
        for batch in batches:
            inputs = self._prepare_inputs(dict(batch))
            with self.compute_loss_context_manager():
                nll = forward_answers(model, inputs).nll
            nll_sum += float(nll.cpu().double().sum())  # on the host: some accelerators have no fp64
            tokens += nll.numel()
        if self.args.world_size > 1:
            here = torch.tensor([nll_sum, tokens], dtype=torch.float32, device=self.args.device)
            nll_sum, tokens = self._global_sum(here).tolist()
        return nll_sum / max(tokens, 1)

    def mean_loss(self, dataset: Sequence[Mapping[str, Any]], rows: int | None = None) -> float:
        """Mean cross-entropy a token, in nats, over the first `rows` rows (all by default), without gradients."""
        size = self.args.per_device_eval_batch_size
        collate = cast(PairCollator, self.data_collator).collate
        chosen = [dataset[i] for i in range(min(rows or len(dataset), len(dataset)))]
        model = cast(nn.Module, self.model)
        with eval_mode(model):
            return self._retain_loss(
                model, [collate(chosen[start : start + size]) for start in range(0, len(chosen), size)]
            )

    # ---- around the run --------------------------------------------------------------------------------------------

    def start_run(self) -> None:
        """Before the first step: gradient buffers, both losses, the ceiling, a warning where nothing was learned."""
        model = cast(nn.Module, self.model)
        self._slots = GradientSlots(p for p in model.parameters() if p.requires_grad)
        self._sampler.set_epoch(int(self.state.epoch or 0))
        known = len(self.forget_dataset)
        if not self.run_state.initial_losses:
            self.run_state.initial_losses = {
                "forget": self.mean_loss(self.forget_dataset),
                "retain": self.mean_loss(self.retain_dataset, rows=known),
            }
            if self.holdout_dataset is not None:
                self.run_state.initial_losses["holdout"] = self.mean_loss(self.holdout_dataset)
        losses = self.run_state.initial_losses
        self.ceiling = forget_ceiling(
            self.args.forget_ceiling,
            vocabulary=_vocabulary(model),
            holdout_loss=losses.get("holdout"),
        )
        if self.ceiling is not None and losses["forget"] >= self.ceiling:
            logger.warning(
                "The forget loss, %.3f, is at the ceiling of %.3f from the start: nothing would be forgotten. Raise "
                "--forget-ceiling.",
                losses["forget"],
                self.ceiling,
            )
        logger.info("Before unlearning: %s", ", ".join(f"{k} loss {v:.4f}" for k, v in losses.items()))
        if losses["forget"] > _UNKNOWN_LOSS:
            logger.warning(
                "The model hardly knows the forget rows: %.2f nats a token, %.0f %% mean probability. Are model, "
                "template and rows those it was trained with?",
                losses["forget"],
                100 * math.exp(-losses["forget"]),
            )

    def end_run(self) -> None:
        """After the last step: say so where the run ended long before its ceiling."""
        logged = [row["loss_forget"] for row in self.state.log_history if "loss_forget" in row]
        if self.ceiling is not None and logged and max(logged) < _UNFINISHED * self.ceiling:
            logger.warning(
                "The forget loss reached %.2f of a ceiling of %.2f in %d steps. More steps forget more: raise "
                "--num-train-epochs (small forget sets have few steps a pass) or give --max-steps.",
                max(logged),
                self.ceiling,
                self.state.global_step,
            )

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

    def _save_optimizer_and_scheduler(self, output_dir: str) -> None:
        # Here because Trainer writes `trainer_state.json`, the sign of a complete checkpoint, after it.
        super()._save_optimizer_and_scheduler(output_dir)
        if self.args.should_save:
            self.run_state.save(output_dir)

    def _save_checkpoint(self, model: nn.Module, trial: Any) -> None:
        with saving_checkpoint(self._get_output_dir(trial), self.state.global_step):
            super()._save_checkpoint(model, trial)

    def _load_optimizer_and_scheduler(self, checkpoint: str | None) -> None:
        super()._load_optimizer_and_scheduler(checkpoint)
        if checkpoint is not None:
            self.run_state = RunState.load(checkpoint)

    def _global_sum(self, value: Tensor) -> Tensor:
        return value if self.args.world_size == 1 else cast(Tensor, self.accelerator.reduce(value, "sum"))


class _BeforeOptimizerStep(TrainerCallback):
    """Calls the trainer at the moments that Trainer has no method for."""

    def __init__(self, trainer: UnlearnTrainer) -> None:
        self._trainer = trainer

    def on_train_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._trainer.start_run()

    def on_train_end(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._trainer.end_run()

    def on_epoch_begin(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        # accelerate's `set_epoch` does not reach a custom sampler when a run resumes within an epoch.
        self._trainer._sampler.set_epoch(int(state.epoch or 0))

    def on_pre_optimizer_step(
        self, args: TrainingArguments, state: TrainerState, control: TrainerControl, **kwargs: Any
    ) -> None:
        self._trainer.choose_learning_rate()


def refuse_half_precision(model: nn.Module) -> None:
    """Refuse to train weights in float16.

    Raises:
        InputError: some trainable weights are float16: Adam's small numbers vanish in it, and the model falls apart.
    """
    if any(p.dtype == torch.float16 and p.requires_grad for p in model.parameters()):
        raise InputError(
            "the model's weights are float16, in which training destroys them; load it in float32 (--dtype float32) or "
            "bfloat16"
        )


def _vocabulary(model: nn.Module) -> int:
    """Number of tokens that the output head chooses from."""
    language_model = cast(Any, model)
    head = language_model.get_output_embeddings() if hasattr(model, "get_output_embeddings") else None
    return int(language_model.config.vocab_size if head is None else head.weight.shape[0])
