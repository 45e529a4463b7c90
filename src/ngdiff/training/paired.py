"""`PairedTrainer`: what `transformers.Trainer` asks about its batches, where a batch is pairs of rows of both sides."""

from collections.abc import Mapping
from typing import Any

import torch

from ngdiff.core.slots import SIDES, Side
from ngdiff.objectives import Objective
from ngdiff.training.mean_loss import MeanLossTrainer
from ngdiff.training.pairing import PairSampler
from ngdiff.training.sets import count_step


class PairedTrainer(MeanLossTrainer):
    """A `MeanLossTrainer` whose training batches are `{"retain": batch, "forget": batch}` (`ngdiff.training.pairing`).

    Attributes:
        objectives: Of both sides; they say what is counted.
        sampler: The order in which rows of both sides meet.
    """

    objectives: dict[Side, Objective]
    sampler: PairSampler
    _operations_each: int | None = None  # of a run, for each number that goes into the model

    @property
    def steps_of_pass(self) -> int:
        """Steps of one pass over the forget rows."""
        return len(self.sampler) // self.args.rows_per_step

    def start_epoch(self) -> None:
        """Pairs of this epoch, counted by steps: `state.epoch` is a sum of fractions, and may be short of a whole."""
        self.sampler.set_epoch(self.state.global_step // self.steps_of_pass)

    def _get_train_sampler(self, train_dataset: Any = None) -> PairSampler:
        return self.sampler

    def _set_signature_columns_if_needed(self) -> None:
        super()._set_signature_columns_if_needed()  # a user's collator may make other inputs of the model
        self._signature_columns: Any = [
            *(self._signature_columns or ()),
            *self.task.inputs,
            *SIDES,
            "alternate",
            "protect",
        ]

    def _get_num_items_in_batch(self, batch_samples: list[Any], device: torch.device) -> Any:
        """Number of units of each side in the whole effective batch, over all micro-batches and processes."""
        if not batch_samples or "retain" not in batch_samples[0]:
            return None
        counts = count_step(batch_samples, self.objectives)
        return {name: self.global_sum(count.to(device)) for name, count in counts.items()}

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
