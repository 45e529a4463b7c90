"""`Compared`: the outputs of other models with which the objectives of a run compare."""

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, cast

import torch
from torch import Tensor
from torch.nn.functional import pad

from ngdiff.core.answers import Answers, Reference
from ngdiff.core.slots import Side
from ngdiff.errors import InputError
from ngdiff.file_names import BASE_MODEL, REFERENCE
from ngdiff.objectives import Objective
from ngdiff.tasks.sampled import SampledRows
from ngdiff.training.base_model import BaseModel
from ngdiff.training.config import UnlearnConfig
from ngdiff.training.levels import Levels
from ngdiff.training.references import References
from ngdiff.training.sets import Sets
from ngdiff.training.spread import spread


@dataclass
class Compared:
    """Outputs of other models for the rows of a run; None for those that no objective needs.

    Args:
        references: Outputs of the model before unlearning.
        teacher: Outputs of the base model.
        levels: Losses that the answer tokens to forget would have in a model that never saw them.
        level_rows: Holdout rows from which levels are taken; if empty, the levels are the base model's losses.
        base_model: The base model, or where it comes from.
        sampled: Forget rows whose alternative answers the model makes up when the run starts.
    """

    references: References | None = None
    teacher: References | None = None
    levels: Levels | None = None
    level_rows: Sequence[Any] = ()
    base_model: BaseModel | None = None
    sampled: SampledRows | None = None

    @classmethod
    def needed(
        cls,
        args: UnlearnConfig,
        objectives: Mapping[Side, Objective],
        sets: Sets,
        names: Sequence[str],
        base_model: BaseModel | None,
        *,
        level_rows: int,
    ) -> "Compared":
        """What the objectives of a run need; nothing is computed yet.

        Args:
            args: Of the run.
            objectives: Of both sides.
            sets: Its rows.
            names: Keys of a row that say what it is.
            base_model: If there is one.
            level_rows: Holdout rows from which levels are taken, at most.

        Raises:
            InputError: an objective needs a base model or holdout rows, and there are none; or answers that the model
                samples, and the rows are none that have them.
        """
        references = References.needed(
            Path(str(args.output_dir), REFERENCE),
            objectives,
            {"retain": sets.retain, "forget": sets.forget},
            lambda: cast(Any, sets.alternates).of_epochs(epochs_of(args, len(sets.forget)), seed=args.order_seed),
            names,
            sets.protect,
        )
        needs, name = objectives["forget"].needs, f"--forget-objective {args.parts.forget}"
        if "teacher_logits" in needs and base_model is None:
            raise InputError(f"{name} needs --base-model, the model before fine-tuning")
        if "level" in needs and base_model is None and sets.holdout is None:
            raise InputError(
                f"{name} needs --holdout, rows that the model has never seen, or --base-model, the model before "
                "fine-tuning"
            )
        levels = Levels() if "level" in needs else None
        rows: list[Any] = []
        if levels is not None and sets.holdout is not None:
            rows = [sets.holdout[i] for i in spread(len(sets.holdout), level_rows)]
        teacher = None
        if base_model is not None and needs & {"teacher_logits", "level"}:
            folder = Path(str(args.output_dir), BASE_MODEL)
            teacher = References.of_base_model(folder, objectives["forget"], sets.forget, rows, names)
        sampled = sets.alternates if "sampled" in needs else None
        if sampled is not None and not isinstance(sampled, SampledRows):
            raise InputError(f"{name} teaches answers that the model samples, which only rows of text have")
        return cls(references, teacher, levels, rows, base_model, sampled)

    def base_loss(self) -> float | None:
        """Mean loss of the forget rows' answer tokens in the base model, in nats; None if it was not used."""
        return None if self.teacher is None else float(torch.cat(self.teacher.losses("forget")).mean())

    def attach(self, name: str, batch: Mapping[str, Tensor], answers: Answers) -> Answers:
        """`answers` with all this.

        Args:
            name: Of the set that the batch is of: `retain`, `forget`, `alternate` or `protect`.
            batch: With the `row_id` of each row.
            answers: Without it.
        """
        if self.references is not None:
            answers = replace(answers, reference=self.references.of(name, batch, answers))
        if name != "forget":
            return answers
        if self.teacher is not None:
            answers = replace(answers, teacher=_of_width(self.teacher.of(name, batch, answers), answers))
        if self.levels is not None:
            answers = replace(answers, level=self.levels.of(batch, answers))
        return answers


def _of_width(said: Reference | None, answers: Answers) -> Reference | None:
    """Log-probabilities over the choices of the model in training.

    Tokens that only this model has get probability 0, tokens that only the other model has are left out, and the rest
    is normalised to sum 1."""
    if said is None or said.log_probs is None or answers.logits is None:
        return said
    more = answers.logits.shape[1] - said.log_probs.shape[1]
    if more > 0:
        return replace(said, log_probs=pad(said.log_probs, (0, more), value=-torch.inf))
    return said if more == 0 else replace(said, log_probs=said.log_probs[:, :more].log_softmax(-1))


def epochs_of(args: UnlearnConfig, forget_rows: int) -> int:
    """Number of passes over the forget set, rounded up."""
    steps = -(-forget_rows // args.rows_per_step)
    return -(-args.max_steps // steps) if args.max_steps > 0 else math.ceil(args.num_train_epochs)
