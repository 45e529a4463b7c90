"""Train a model on rows until it recites them: how targets of unlearning and their references are made."""

import copy
import logging
import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, cast

import torch
from transformers import (
    PreTrainedModel,
    ProgressCallback,
    TrainerCallback,
    TrainingArguments,
)
from transformers.tokenization_utils_base import PreTrainedTokenizerBase

from ngdiff.data import AnswerCollator, Row, Template
from ngdiff.data.encode import encode_named
from ngdiff.errors import InputError
from ngdiff.evaluation.context import row_limit
from ngdiff.evaluation.eval_mode import eval_mode
from ngdiff.modeling.causality import check_causal
from ngdiff.modeling.plain_forward import forward_answers
from ngdiff.modeling.vocabulary import check_tokens, check_vocabulary, embedding_rows, pad_token_within, with_usable_pad
from ngdiff.option import option
from ngdiff.training.bounds import check_bounds, check_rate
from ngdiff.training.check_inherited import (
    check_activation_checkpointing,
    check_given,
    check_optimizer,
    check_schedule,
)
from ngdiff.training.checkpointed import CheckpointedTrainer
from ngdiff.training.config import unpin_without_accelerator, use_cpu_without_accelerator
from ngdiff.training.given import as_given
from ngdiff.training.loss_check import LossCheck
from ngdiff.training.outcome import SAMPLE_ROWS, Outcome, check_loss_bound, spread
from ngdiff.training.progress import StepProgress
from ngdiff.training.stopping import StopRequest
from ngdiff.training.watch_loss import WatchLoss

logger = logging.getLogger(__name__)

# Rates for `learning_rate="auto"`: what made small models from random weights recite fastest, and what the
# paper (arXiv 2410.22086) fine-tunes models of a billion parameters with.
_SMALL_MODEL, _SMALL_RATE, _LARGE_RATE = 50_000_000, 2e-3, 2e-5


def auto_or_rate(given: float | str) -> float | str:
    """A learning rate as it was given: `auto`, or a number.

    Raises:
        InputError: neither.
    """
    if str(given) == "auto":
        return "auto"
    try:
        rate = float(given)
    except ValueError:
        rate = math.nan
    if not (math.isfinite(rate) and rate > 0):
        raise InputError(f"--learning-rate {given} is not auto or a positive number")
    check_rate(rate, f"--learning-rate {given}")
    return rate


@dataclass
class FinetuneConfig(TrainingArguments):
    """Arguments of `finetune`: those of `transformers.TrainingArguments` and four of our own.

    The defaults make a small model with random weights recite a few hundred question-answer pairs in about 12
    epochs; `num_train_epochs` is an upper bound for rows that are harder, `stop_loss` ends the run. Defaults
    that differ from transformers', and why:

    - `learning_rate="auto"`: 2e-3 below 50 M trainable parameters, else 2e-5. A number is taken as it is.
    - `lr_scheduler_type="cosine"`, `warmup_steps=10`: the last part of a recitation needs small steps.
    - `per_device_train_batch_size=16`: as fast in epochs as 8 where models are small, and faster in seconds.
    - `train_sampling_strategy="group_by_length"`: rows of a batch have similar lengths, so less padding.
    - `logging_strategy="epoch"`: the mean training loss of each epoch, which `stop_loss` is compared with.
    - `logging_nan_inf_filter=False`: a loss that is not a number stops the run instead of being hidden.
    - `save_strategy="no"`: runs are short; a checkpoint per epoch is one option away.

    Raises:
        InputError: an option that cannot be used, named with the value found.
    """

    stop_loss: float | None = option(
        0.02,
        "stop when the logged training loss, in nats a token, is at or below this; none: train all epochs",
    )
    max_loss: str = option(
        "auto",
        "loss of the rows after the run, in nats a token, above which the model counts as ruined (exit code 3, kept in "
        "OUTPUT/ruined): auto (half of the way from before to uniform guessing), none, or a number",
    )
    max_length: int | None = option(None, "longest row in tokens (the model's context; 2048 where it states none)")
    template: str = option("auto", "how a question is put: auto, plain, chat, or a text with {question} and {answer}")

    learning_rate: float | str = option(  # type: ignore[assignment]  # resolved by `finetune`, which sees the model
        "auto", "auto (2e-3 below 50 M trainable parameters, else 2e-5) or a positive number"
    )
    per_device_train_batch_size: int = option(16, "rows of a step on one device")
    num_train_epochs: float = option(20.0, "passes over the rows, at most")
    lr_scheduler_type: str = option("cosine", "schedule of the learning rate")
    warmup_steps: float = option(10, "steps of linear warm-up; below 1: part of all steps")
    train_sampling_strategy: str = option("group_by_length", "order of rows: random, sequential, group_by_length")
    logging_strategy: str = option("epoch", "when to log the training loss: no, steps, epoch")
    logging_nan_inf_filter: bool = option(False, "hide losses that are not numbers")
    save_strategy: str = option("no", "when to write a checkpoint: no, epoch, steps, best")

    def __post_init__(self) -> None:
        self.learning_rate = auto_or_rate(self.learning_rate)
        self.given = as_given(self)
        check_bounds(self)
        if self.stop_loss and str(self.logging_strategy) in ("no", "IntervalStrategy.NO"):
            raise InputError("--logging-strategy no gives --stop-loss nothing to compare; use epoch or steps")
        check_loss_bound(self.max_loss, "--max-loss")
        check_given(self, "finetune")
        use_cpu_without_accelerator(self)
        super().__post_init__()
        unpin_without_accelerator(self)
        check_optimizer(self)
        check_schedule(self)


@dataclass(frozen=True, slots=True)
class FinetuneResult:
    """What a run did.

    Args:
        loss: training loss last logged (by default: mean over the last epoch), nats a token.
        epochs: passes over the rows, fewer than allowed where `stop_loss` was reached.
        steps: optimizer steps.
        learning_rate: the peak rate.
        losses: (epoch, loss) of every log line.
        outcome: loss of rows of the training set (`train`) before and after, and whether the model is ruined.
    """

    loss: float
    epochs: float
    steps: int
    learning_rate: float
    losses: tuple[tuple[float, float], ...]
    outcome: Outcome


def finetune(
    model: PreTrainedModel,
    tokenizer: PreTrainedTokenizerBase,
    rows: Sequence[Row],
    template: Template,
    config: FinetuneConfig,
    *,
    callbacks: Sequence[TrainerCallback] = (),
    resume: bool | str = False,
    stop_request: StopRequest | None = None,
) -> FinetuneResult:
    """Minimise the mean cross-entropy of the answer tokens (end token included), in place, on `model`.

    The model is left in evaluation mode and is not written anywhere; `ngdiff.modeling.save_model` does that.

    Args:
        model: causal language model, or one under a PEFT adapter.
        tokenizer: its tokenizer, with an end token.
        rows: training rows.
        template: from `ngdiff.data.resolve_template`.
        config: options; `config.output_dir` gets checkpoints, if any.
        callbacks: further callbacks of the Trainer.
        resume: True: go on from the last checkpoint in `config.output_dir`; a path: from that one.
        stop_request: see `ngdiff.training.saving.SavingTrainer`.

    Raises:
        InputError: no rows, a row that does not fit, or a tokenizer of another model.
        FloatingPointError: the training loss is no longer a number.
        StoppedBySignal: `stop_request` asked for it; a checkpoint is written.
    """
    if not rows:
        raise InputError("--train: there are no rows to train on.")
    check_vocabulary(model, tokenizer)
    check_activation_checkpointing(config, model)
    limit = row_limit(model, config.max_length)
    named = encode_named(rows, tokenizer, template, max_length=limit, role="--train")
    check_tokens(model, tokenizer, ((name, item["input_ids"]) for name, item in named))
    encoded = [item for _, item in named]
    with eval_mode(model):
        check_causal(model, max((item["input_ids"] for item in encoded), key=len))
    args = copy.copy(config)
    args.learning_rate = _learning_rate(model, config)
    collate = AnswerCollator(pad_token_within(tokenizer, embedding_rows(model)))
    trainer = CheckpointedTrainer(
        model=model,
        args=args,
        train_dataset=encoded,
        data_collator=collate,
        processing_class=with_usable_pad(tokenizer, model),
        callbacks=[WatchLoss(config.stop_loss), *callbacks],
        stop_loss=config.stop_loss,
    )
    check = LossCheck(
        trainer,
        collate,
        [encoded[i] for i in spread(len(encoded), SAMPLE_ROWS)],
        lambda batch: forward_answers(model, batch).nll,
        guessing=math.log(model.config.get_text_config(decoder=True).vocab_size),
    )
    return train_and_report(trainer, float(args.learning_rate), resume, stop_request, check)


def train_and_report(
    trainer: CheckpointedTrainer,
    learning_rate: float,
    resume: bool | str,
    stop_request: StopRequest | None,
    check: LossCheck,
) -> FinetuneResult:
    """Train, and report how the run ended; the model is left in evaluation mode.

    Args:
        trainer: ready to train.
        learning_rate: the peak rate.
        resume, stop_request: as in `finetune`.
        check: of the loss before and after.
    """
    if stop_request is not None:
        trainer.stop_request = stop_request
    if trainer.pop_callback(ProgressCallback) is not None:
        trainer.add_callback(StepProgress)
    trainer.add_callback(check)
    trainer.train(resume_from_checkpoint=resume or None)
    model: Any = trainer.model
    model.eval()
    losses = tuple((log["epoch"], log["loss"]) for log in trainer.state.log_history if "loss" in log)
    return FinetuneResult(
        loss=losses[-1][1] if losses else math.nan,
        epochs=float(trainer.state.epoch or 0.0),
        steps=trainer.state.global_step,
        learning_rate=learning_rate,
        losses=losses,
        outcome=check.outcome(cast(Any, trainer.args).max_loss),
    )


def auto_rate(model: torch.nn.Module) -> float:
    """What `learning_rate="auto"` means: 2e-3 below 50 M trainable parameters, else 2e-5."""
    trained = sum(p.numel() for p in model.parameters() if p.requires_grad)
    return _SMALL_RATE if trained < _SMALL_MODEL else _LARGE_RATE


def _learning_rate(model: torch.nn.Module, config: FinetuneConfig) -> float:
    if config.learning_rate != "auto":
        return float(config.learning_rate)
    trained, rate = sum(p.numel() for p in model.parameters() if p.requires_grad), auto_rate(model)
    logger.info("learning rate %g for %d trained parameters", rate, trained)
    return rate
