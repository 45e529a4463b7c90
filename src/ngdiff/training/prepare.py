"""Preparations before the first step of a run: the step itself, check of the forward pass, references, first losses.

`trainer` is an `UnlearnTrainer` that is ready to train.
"""

import logging
from collections.abc import Mapping, Sequence
from typing import Any

import torch
from torch import nn

from ngdiff.data.progress import counted
from ngdiff.evaluation.eval_mode import eval_mode
from ngdiff.objectives import forget_ceiling
from ngdiff.plurals import number_of
from ngdiff.tasks.base import Example
from ngdiff.training.base_model import load_base_model
from ngdiff.training.gradients import gradients_for
from ngdiff.training.hardness import KNOWN_ROWS, features_of, fit, hardness, ranks
from ngdiff.training.levels import Levels
from ngdiff.training.notices import check_base_model, notice_start
from ngdiff.training.objective_pass import ObjectivePass
from ngdiff.training.references import References
from ngdiff.training.sampled import prepare_sampled
from ngdiff.training.sharding import fresh_weights
from ngdiff.training.spread import spread
from ngdiff.training.step import TwoGradientStep

logger = logging.getLogger(__name__)


def prepare(trainer: Any) -> None:
    """All that must be known before the first step, in its order: references, both losses, the ceiling; warnings.

    Raises:
        InputError: a model or a base model that cannot be used; a resumed run that lacks what it began with.
        WriteError: the disk is full.
    """
    prepare_teacher(trainer)
    prepare_sampled(trainer)
    check_forward(trainer)
    check_generation(trainer)
    prepare_levels(trainer)
    prepare_references(trainer)
    losses, unit = first_losses(trainer), trainer.task.unit
    check_base_model(losses, trainer.compared.base_loss(), unit=unit)
    trainer.prober.resume(trainer.run_state.probes)
    trainer.weigher.ceiling = forget_ceiling(
        trainer.args.ceiling_form,
        vocabulary=trainer.task.choices(trainer.model),
        holdout_loss=losses.get("holdout"),
    )
    notice_start(losses, trainer.ceiling, unit=unit, conditions=trainer.task.conditions)


def check_forward(trainer: Any) -> None:
    """Let the task check its forward pass, and choose savings that change nothing, on the first rows to forget.

    Raises:
        InputError: a model that the task refuses.
    """
    size = min(trainer.args.per_device_train_batch_size, len(trainer.forget_dataset))
    logger.info("Checking the forward pass of the model on the first %s to forget ...", number_of(size, "row"))
    batch = trainer._prepare_inputs(trainer.task.collate([trainer.forget_dataset[i] for i in range(size)]))
    with (
        trainer.observe("check of the forward pass"),
        eval_mode(trainer.model),
        trainer.compute_loss_context_manager(),
        counted("checking the forward pass", shown=trainer.args.shows_bars, unit="pass") as count,
        trainer.model.register_forward_pre_hook(lambda *_: count()),
    ):
        trainer.task.check_forward(trainer.model, batch)


def check_generation(trainer: Any) -> None:
    """Measure once what a run is to measure on the way, to see that the model can answer.

    A floor of Utility takes such a measure itself.

    Raises:
        InputError: a model that cannot generate.
    """
    if trainer.quick_measure is not None and trainer.args.utility_floor is None:
        trainer.measure()


def prepare_references(trainer: Any) -> None:
    """Compute what the objectives need from the model before unlearning; a resumed run reads it.

    Raises:
        InputError: a resumed run whose references are not there.
        WriteError: the disk is full.
    """
    references = trainer.compared.references
    if references is None:
        return
    if trainer.state.global_step > 0:  # the weights are no longer those before unlearning
        references.require(trainer.run_state.references)
        return
    # Autocast: the frozen head computes in the precision of the model's own.
    with trainer.observe("references"), fresh_weights(trainer.model_wrapped), trainer.accelerator.autocast():
        trainer.run_state.references = _ask(trainer, references, trainer.model_wrapped)


def prepare_teacher(trainer: Any) -> None:
    """Ask the base model, the one before fine-tuning, what the forget objective is to come near.

    It is loaded for this alone. Before `check_forward`: by the plain pass, as what is saved in passes of the model in
    training was not tried on this one.

    Raises:
        InputError: a base model of other tokens, or one that knows the rows.
        WriteError: the disk is full.
    """
    teacher = trainer.compared.teacher
    if teacher is None or (trainer.run_state.teacher and teacher.found(trainer.run_state.teacher)):
        return
    logger.info("Loading the base model ...")
    base = load_base_model(trainer.compared.base_model).to(trainer.args.device)
    with trainer.observe("references"), trainer.accelerator.autocast():
        trainer.run_state.teacher = _ask(trainer, teacher, base)


def _ask(trainer: Any, references: References, model: nn.Module) -> str:
    """Compute a model's outputs for the rows of `references`; returns their identifier (`References.compute`)."""
    args = trainer.args
    return references.compute(
        model,
        trainer.task.forward,
        trainer.task.collate,
        batch_size=args.per_device_eval_batch_size,
        device=args.device,
        process=args.process_index,
        processes=args.world_size,
        wait=trainer.accelerator.wait_for_everyone,
        show_progress=args.shows_bars,
    )


def prepare_levels(trainer: Any) -> None:
    """The levels of the tokens to forget.

    A resumed run has the last losses of the twins, what was fitted to the first ones, and the corrections from its
    checkpoint.
    """
    compared, state = trainer.compared, trainer.run_state
    if compared.levels is None:
        return
    if compared.level_rows:
        _find_twins(trainer, compared.levels)
    else:
        compared.levels.fix(compared.teacher.losses("forget"))
    if state.level_corrections:
        compared.levels.corrections = torch.tensor(state.level_corrections)


def _find_twins(trainer: Any, levels: Levels) -> None:
    """Twins for the tokens to forget, by predicted hardness."""
    compared, state = trainer.compared, trainer.run_state
    if not state.level_losses:
        state.level_losses = trainer.token_losses(compared.level_rows).tolist()
    levels.losses = torch.tensor(state.level_losses)
    sets = {"forget": trainer.forget_dataset, "holdout": compared.level_rows}
    features = _features(trainer, sets)
    if any(own.shape[1] for own in features["holdout"]):
        if not state.level_coefficients:  # of the model before unlearning
            state.level_coefficients = fit(features["holdout"], levels.losses)
        known = {name: hardness(own, state.level_coefficients) for name, own in features.items()}
    else:
        if not state.level_ranks:  # by the model before unlearning
            losses = {"forget": trainer.token_losses(trainer.forget_dataset), "holdout": levels.losses}
            state.level_ranks = {name: ranks(own).tolist() for name, own in losses.items()}
        counts = {name: [len(own) for own in rows] for name, rows in features.items()}
        known = {name: torch.tensor(own).split(counts[name]) for name, own in state.level_ranks.items()}
    levels.pair(known["forget"], known["holdout"], seed=trainer.args.seed)


def _features(trainer: Any, sets: Mapping[str, Sequence[Example]]) -> dict[str, list[torch.Tensor]]:
    """What is known of the answer tokens of sets of rows beside their losses (`features_of`)."""
    teacher = trainer.compared.teacher
    known = [trainer.retain_dataset[i] for i in spread(len(trainer.retain_dataset), KNOWN_ROWS)]
    return {
        name: features_of(trainer.task.familiarity(rows, known), None if teacher is None else teacher.losses(name))
        for name, rows in sets.items()
    }


def refresh_levels(trainer: Any) -> None:
    """Before a step, if that is due: measure the losses of the twins again, and correct the levels of a run that has
    arrived; before that, all of them are still to be reached."""
    compared, state, rows = trainer.compared, trainer.run_state, trainer.forget_dataset
    levels = compared.levels
    if levels is None or not levels.is_due(trainer.state.global_step + 1):
        return
    if compared.level_rows:
        levels.losses = trainer.token_losses(compared.level_rows)
        state.level_losses = levels.losses.tolist()
    if trainer.arrival is not None and trainer.arrival.arrived:
        measured = spread(len(rows), trainer.task.level_rows)
        levels.correct(measured, trainer.token_losses([rows[i] for i in measured]))
        state.level_corrections = levels.corrections.tolist()


def first_losses(trainer: Any) -> dict[str, float]:
    """Mean loss of each set before unlearning, in nats; a resumed run has them from its checkpoint."""
    if not trainer.run_state.initial_losses:
        trainer.run_state.initial_losses = trainer.losses()
    losses: dict[str, float] = trainer.run_state.initial_losses
    return losses


def make_step(trainer: Any) -> TwoGradientStep:
    """The step of a run, with buffers for all weights that are trained."""
    objective_pass = ObjectivePass(
        trainer.task,
        trainer.objectives,
        trainer.compared,
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
