"""`MeanLossTrainer`: exact mean losses of sets of rows, in any number of processes, without gradients."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Sampler, SequentialSampler
from transformers.trainer_utils import EvalLoopOutput

from ngdiff.data.progress import with_bar
from ngdiff.evaluation.eval_mode import eval_mode
from ngdiff.tasks import Task
from ngdiff.training.chosen_optimizer import ChosenOptimizerTrainer
from ngdiff.training.moments import Observer
from ngdiff.training.sharding import fresh_weights
from ngdiff.training.spread import SAMPLE_ROWS, spread

Examples = Sequence[Mapping[str, Any]]


class MeanLossTrainer(ChosenOptimizerTrainer):
    """A `transformers.Trainer` whose losses of sets are means over tokens, not means of batch means."""

    task: Task
    observe: Observer
    forget_dataset: Examples
    retain_dataset: Examples
    holdout_dataset: Examples | None
    protect_dataset: Examples | None

    def retain_loss(self, model: nn.Module, batches: Iterable[Mapping[str, Tensor]]) -> float:
        """Mean cross-entropy a token over the batches of all processes, in nats: what the paper's `phi` measures.

        Args:
            model: As it is trained, in evaluation mode.
            batches: Of this process.
        """
        return self.mean_over_tokens(model, batches, lambda inputs: self.task.forward(model, inputs).nll)

    def mean_over_tokens(
        self,
        model: nn.Module,
        batches: Iterable[Mapping[str, Tensor]],
        losses: Callable[[Mapping[str, Tensor]], Tensor],
    ) -> float:
        """Mean of losses over all answer tokens of the batches of all processes.

        Args:
            model: As it is trained, in evaluation mode.
            batches: Of this process.
            losses: Of the answer tokens of a batch on the model's device, (T,).
        """
        total, tokens = 0.0, 0
        with fresh_weights(model):
            for batch in batches:
                with self.observe("loss"):
                    inputs = self._prepare_inputs(dict(batch))
                    with self.compute_loss_context_manager():
                        found = losses(inputs)
                    total += float(found.cpu().double().sum())  # on the host: some accelerators have no fp64
                    tokens += found.numel()
        if self.args.world_size > 1:
            here = torch.tensor([total, tokens], dtype=torch.float32, device=self.args.device)
            total, tokens = self.global_sum(here).tolist()
        return total / max(tokens, 1)

    def mean_loss(self, dataset: Examples, rows: int | None = None, *, name: str = "evaluation") -> float:
        """Mean cross-entropy a token, in nats, over `rows` rows, evenly spread (all by default), without gradients.

        Processes share the rows; all of them must call it. `name` is the set's, beside the bar on a terminal.
        """
        size = self.args.per_device_eval_batch_size
        chosen = [dataset[i] for i in spread(len(dataset), rows or len(dataset))]
        batches = [chosen[start : start + size] for start in range(0, len(chosen), size)]
        # The same number of passes in every process, as a sharded model needs; placeholders count nothing.
        batches += [[self.task.placeholder(chosen[0])]] * (-len(batches) % self.args.world_size)
        own = [self.task.collate(batch) for batch in batches[self.args.process_index :: self.args.world_size]]
        model = cast(nn.Module, self.model)
        bar = with_bar(own, f"loss of {name} rows", total=len(own), shown=self.args.shows_bars, unit="batch")
        with eval_mode(model):
            return self.retain_loss(model, bar)

    def token_losses(self, rows: Examples) -> Tensor:
        """Losses of the answer tokens of rows, one row after the other, in nats, on the host, without gradients.

        Every process computes all of them; all must call it.
        """
        size, found = self.args.per_device_eval_batch_size, []
        model = cast(nn.Module, self.model)
        starts = range(0, len(rows), size)
        bar = with_bar(starts, "loss of each token", total=len(starts), shown=self.args.shows_bars, unit="batch")
        with eval_mode(model), torch.no_grad(), fresh_weights(model):
            for start in bar:
                with self.observe("loss"):
                    inputs = self._prepare_inputs(self.task.collate(rows[start : start + size]))
                    with self.compute_loss_context_manager():
                        found.append(self.task.forward(model, inputs).nll.float().cpu())
        return torch.cat(found)

    @property
    def loss_rows(self) -> dict[str, int]:
        """Number of rows of each set that the losses before and after a run are taken of: all forget and holdout rows,
        and as many retain and protected rows as forget rows, at least 256."""
        forget, retain = len(self.forget_dataset), len(self.retain_dataset)
        rows = {"forget": forget, "retain": min(retain, max(forget, SAMPLE_ROWS))}
        if self.holdout_dataset is not None:
            rows["holdout"] = len(self.holdout_dataset)
        if self.protect_dataset is not None:
            rows["protect"] = min(len(self.protect_dataset), max(forget, SAMPLE_ROWS))
        return rows

    def losses(self) -> dict[str, float]:
        """Mean loss of each set over `loss_rows`, in nats a token. All processes must call it."""
        return {
            name: self.mean_loss(getattr(self, f"{name}_dataset"), rows, name=name)
            for name, rows in self.loss_rows.items()
        }

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
        if hasattr(optimizer, "eval"):  # puts averaged weights into the model
            optimizer.eval()
        rows: Any = dataloader.dataset
        self.callback_handler.eval_dataloader = dataloader
        metrics = {f"{metric_key_prefix}_loss": self.mean_loss(rows)}
        return EvalLoopOutput(predictions=cast(Any, None), label_ids=None, metrics=metrics, num_samples=len(rows))

    def _get_eval_sampler(self, eval_dataset: Any) -> Sampler[int] | None:
        """Evaluation rows in their order; Trainer would sort them by a length that not every task has."""
        return SequentialSampler(eval_dataset) if self.args.world_size <= 1 else None

    def global_sum(self, value: Tensor) -> Tensor:
        """Sum over all processes."""
        return value if self.args.world_size == 1 else cast(Tensor, self.accelerator.reduce(value, "sum"))
