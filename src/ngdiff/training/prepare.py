"""Preparations before the first step of a run: check of the forward pass, references, first losses, the step itself.

`trainer` is an `UnlearnTrainer` that is ready to train.
"""

import math
from typing import Any

from ngdiff.evaluation.eval_mode import eval_mode
from ngdiff.training.config import UnlearnConfig
from ngdiff.training.gradients import gradients_for
from ngdiff.training.objective_pass import ObjectivePass
from ngdiff.training.sharding import fresh_weights
from ngdiff.training.step import TwoGradientStep


def check_forward(trainer: Any) -> None:
    """Let the task check its forward pass, and choose savings that change nothing, on the first rows to forget.

    Raises:
        InputError: a model that the task refuses.
    """
    size = min(trainer.args.per_device_train_batch_size, len(trainer.forget_dataset))
    batch = trainer._prepare_inputs(trainer.task.collate([trainer.forget_dataset[i] for i in range(size)]))
    with (
        trainer.observe("check of the forward pass"),
        eval_mode(trainer.model),
        trainer.compute_loss_context_manager(),
    ):
        trainer.task.check_forward(trainer.model, batch)


def prepare_references(trainer: Any) -> None:
    """Compute what the objectives need from the model before unlearning; a resumed run reads it.

    Raises:
        InputError: a resumed run whose references are not there.
        WriteError: the disk is full.
    """
    references, args = trainer.references, trainer.args
    if references is None:
        return
    if trainer.state.global_step > 0:  # the weights are no longer those before unlearning
        references.require(trainer.run_state.references)
        return
    # Autocast: the frozen head computes in the precision of the model's own.
    with trainer.observe("references"), fresh_weights(trainer.model_wrapped), trainer.accelerator.autocast():
        trainer.run_state.references = references.compute(
            trainer.model_wrapped,
            trainer.task.forward,
            trainer.task.collate,
            batch_size=args.per_device_eval_batch_size,
            device=args.device,
            process=args.process_index,
            processes=args.world_size,
            wait=trainer.accelerator.wait_for_everyone,
        )


def first_losses(trainer: Any) -> dict[str, float]:
    """Mean loss of each set before unlearning, in nats; a resumed run has them from its checkpoint."""
    if not trainer.run_state.initial_losses:
        trainer.run_state.initial_losses = trainer.losses()
        if trainer.holdout_dataset is not None:
            trainer.run_state.initial_losses["holdout"] = trainer.mean_loss(trainer.holdout_dataset)
    losses: dict[str, float] = trainer.run_state.initial_losses
    return losses


def make_step(trainer: Any) -> TwoGradientStep:
    """The step of a run, with buffers for all weights that are trained."""
    objective_pass = ObjectivePass(
        trainer.task,
        trainer.objectives,
        trainer.references,
        model=trainer.model,
        processes=trainer.accelerator.num_processes,
        autocast=trainer.accelerator.autocast,
    )
    trained = (p for p in trainer.model.parameters() if p.requires_grad)
    return TwoGradientStep(
        objective_pass,
        gradients_for(trainer.args, trained, rule=trainer.weigher.weighting.entries),
        trainer.weigher,
        state=trainer.run_state.weighting,
        global_sum=trainer.global_sum,
        observe=trainer.observe,
    )


def epochs_of(args: UnlearnConfig, forget_rows: int) -> int:
    """Number of passes over the forget set, rounded up."""
    steps = -(-forget_rows // args.rows_per_step)
    return -(-args.max_steps // steps) if args.max_steps > 0 else math.ceil(args.num_train_epochs)
