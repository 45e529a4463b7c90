"""The sets of rows of a run, encoded and checked, and how many units of an objective are in a step."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from ngdiff.core.answers import count_units
from ngdiff.core.slots import SIDES, Side
from ngdiff.data.step_rows import most_rows_of_a_step
from ngdiff.errors import InputError
from ngdiff.objectives import Objective, forget_ceiling
from ngdiff.plurals import verb
from ngdiff.tasks import Rows, Task
from ngdiff.tasks.base import Alternates
from ngdiff.training.config import UnlearnConfig
from ngdiff.training.idle import warn_of_idle
from ngdiff.training.pairing import PairSampler

Examples = Sequence[Mapping[str, Any]]


@dataclass(frozen=True)
class Sets:
    """Encoded rows.

    Args:
        forget, retain: What is to be forgotten, and what is to be kept.
        holdout: Rows that the model never saw; None for none.
        protect: Rows in neither set whose predictions are to stay as they are; None for none.
        alternates: The forget rows with other answers; None where no objective teaches one.
        evaluation: What the losses in the log are of: one set, several by name, or None.
    """

    forget: Examples
    retain: Examples
    holdout: Examples | None
    protect: Examples | None
    alternates: Alternates | None
    evaluation: Any

    def lengths(self, task: Task) -> tuple[list[int], list[int]] | None:
        """Lengths of the rows of both sides; None where a task has rows of no length."""
        forget, retain = task.lengths(self.forget), task.lengths(self.retain)
        return None if forget is None or retain is None else (forget, retain)

    def sampler(self, task: Task, args: UnlearnConfig) -> PairSampler:
        """The order in which rows of both sides meet.

        Args:
            task: Knows the lengths of rows.
            args: Options.
        """
        return PairSampler(
            len(self.forget),
            len(self.retain),
            batch=args.rows_per_step,
            seed=args.order_seed,
            alternates=0 if self.alternates is None else self.alternates.count,
            protect=0 if self.protect is None else len(self.protect),
            lengths=None if args.train_sampling_strategy == "random" else self.lengths(task),
        )


def read_sets(
    task: Task,
    objectives: Mapping[Side, Objective],
    args: UnlearnConfig,
    forget: Rows,
    retain: Rows,
    *,
    holdout: Rows = None,
    protect: Rows = None,
    evaluation: Rows = None,
) -> Sets:
    """Encode what a user gave, and warn of options that change nothing for it.

    Args:
        task: Encodes rows.
        objectives: Of both sides.
        args: Options.
        forget, retain, holdout, protect, evaluation: As for `UnlearnTrainer`.

    Raises:
        InputError: rows that cannot be used, none that an option asks for, or too few for the rows of a step.
    """
    warn_of_idle(args)
    forget, retain = task.encode_pair(forget, retain)
    check_rows_of_step(args, len(forget), len(retain), processes=args.world_size)
    unseen = task.encode_holdout(holdout) if holdout is not None else None
    protected = task.encode_protected(protect) if protect is not None else None
    if holdout is None:  # refuse `holdout` now, not after the first losses
        forget_ceiling(args.ceiling_form, vocabulary=2)
    alternates = task.alternates() if "alternate" in objectives["forget"].needs else None
    if evaluation is None:
        asked = args.eval_strategy != "no" or args.eval_on_start
        evaluation = {"forget": forget, "retain": retain} if asked else None
    elif isinstance(evaluation, Mapping):
        evaluation = {name: task.encode(rows, f"evaluation set {name}") for name, rows in evaluation.items()}
    else:
        evaluation = task.encode(evaluation, "evaluation set")
    return Sets(forget, retain, unseen, protected, alternates, evaluation)


def check_rows_of_step(args: UnlearnConfig, forget: int, retain: int, *, processes: int) -> None:
    """Refuse a step of far more rows than there are, which would have the same ones many times.

    Args:
        args: Options.
        forget, retain: Number of encoded rows.
        processes: How many share a step.

    Raises:
        InputError: names the options, the rows and the most that a step may have.
    """
    batch, micro_batches = args.train_batch_size, args.gradient_accumulation_steps
    rows, most = batch * micro_batches * processes, most_rows_of_a_step(forget, retain)
    if rows <= most:
        return
    more = [f"--gradient-accumulation-steps {micro_batches}"] if micro_batches > 1 else []
    more += [f"{processes} processes"] if processes > 1 else []
    given = " and ".join([f"--per-device-train-batch-size {args.per_device_train_batch_size}", *more])
    raise InputError(
        f"{given}: a step would have {rows:,} rows of each set, but there {verb(forget)} {forget:,} to forget and "
        f"{retain:,} to retain, so that it would have the same rows many times; {most:,} are the most"
    )


def count_step(
    batches: Sequence[Mapping[Side, Mapping[str, Any]]], objectives: Mapping[Side, Objective]
) -> dict[str, Tensor]:
    """Number of units and of answer tokens of each side, under its name and `SIDE_tokens`, over all micro-batches.

    Under `protect`: answer tokens of protected rows, where there are any.

    Args:
        batches: All micro-batches of a step.
        objectives: Of both sides.
    """
    counts: dict[str, Tensor] = {}
    for side in SIDES:
        objective = objectives[side]
        own = [batch[side] for batch in batches]
        learned = own if objective.own_answers else [batch["alternate"] for batch in own]
        counts[side] = torch.stack([count_units(batch["labels"], objective.unit) for batch in learned]).sum()
        counts[f"{side}_tokens"] = torch.stack([count_units(batch["labels"], "token") for batch in own]).sum()
    protected = [batch["retain"]["protect"]["labels"] for batch in batches if "protect" in batch["retain"]]
    if protected:
        counts["protect"] = torch.stack([count_units(labels, "token") for labels in protected]).sum()
    return counts
