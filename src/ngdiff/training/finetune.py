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
from ngdiff.training.check_inherited import (
    check_activation_checkpointing,
    check_installed,
    check_optimizer,
    check_precision,
    check_schedule,
)
from ngdiff.training.checkpointed import CheckpointedTrainer
from ngdiff.training.config import unpin_without_accelerator, use_cpu_without_accelerator
from ngdiff.training.finetune_arguments import FinetuneArguments
from ngdiff.training.loss_check import LossCheck
from ngdiff.training.outcome import Outcome
from ngdiff.training.progress import StepProgress
from ngdiff.training.spread import SAMPLE_ROWS, spread
from ngdiff.training.stopping import StopRequest
from ngdiff.training.watch_loss import WatchLoss

logger = logging.getLogger(__name__)

# Rates for `learning_rate="auto"`: what made small models from random weights recite fastest, and what the
# paper (arXiv 2410.22086) fine-tunes models of a billion parameters with.
_SMALL_MODEL, _SMALL_RATE, _LARGE_RATE = 50_000_000, 2e-3, 2e-5


@dataclass
class FinetuneConfig(FinetuneArguments, TrainingArguments):
    """Arguments of `finetune`: those of `transformers.TrainingArguments` and four of our own.

    `FinetuneArguments` has the options and says which defaults differ from transformers', and why.

    Raises:
        InputError: an option that cannot be used, named with the value found.
    """

    def __post_init__(self) -> None:
        self.check()
        check_installed(self)
        use_cpu_without_accelerator(self)
        check_precision(self)
        TrainingArguments.__post_init__(self)
        unpin_without_accelerator(self)
        check_optimizer(self)
        check_schedule(self)


@dataclass(frozen=True, slots=True)
class FinetuneResult:
    """What a run did.

    Args:
        loss: Training loss last logged (by default: mean over the last epoch), nats a token.
        epochs: Passes over the rows, fewer than allowed where `stop_loss` was reached.
        steps: Optimizer steps.
        learning_rate: The peak rate.
        losses: (epoch, loss) of every log line.
        outcome: Loss of rows of the training set (`train`) before and after, and whether the model is ruined.
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
        model: Causal language model, or one under a PEFT adapter.
        tokenizer: Its tokenizer, with an end token.
        rows: Training rows.
        template: From `ngdiff.data.resolve_template`.
        config: Options; `config.output_dir` gets checkpoints, if any.
        callbacks: Further callbacks of the Trainer.
        resume: True: go on from the last checkpoint in `config.output_dir`; a path: from that one.
        stop_request: See `ngdiff.training.saving.SavingTrainer`.

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
        trainer: Ready to train.
        learning_rate: The peak rate.
        resume, stop_request: As in `finetune`.
        check: Of the loss before and after.
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
