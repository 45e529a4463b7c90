"""`ChosenOptimizerTrainer`: the optimizers of `--optimizer`, and a rate that AutoLR finds."""

import copy
from typing import Any, cast

from torch import nn
from torch.optim import Optimizer
from torch.optim.lr_scheduler import LRScheduler
from transformers import PreTrainedModel, Trainer, TrainingArguments

from ngdiff.core.line import learning_rate
from ngdiff.training.checkpointed import CheckpointedTrainer
from ngdiff.training.config import UnlearnConfig
from ngdiff.training.optimizers import OPTIMIZERS, make_optimizer, step_rate
from ngdiff.training.schedule import KeepLearningRate


class ChosenOptimizerTrainer(CheckpointedTrainer):
    """A `transformers.Trainer` whose optimizer and schedule are those that an `UnlearnConfig` asks for."""

    args: UnlearnConfig

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

    @property
    def bare_optimizer(self) -> Optimizer:
        """The optimizer without accelerate's wrapper, which skips steps and counts them."""
        optimizer: Any = self.optimizer
        while hasattr(optimizer, "optimizer"):
            optimizer = optimizer.optimizer
        return cast(Optimizer, optimizer)

    @property
    def rate(self) -> float:
        """The learning rate of the next step, as logged."""
        name = self.args.optimizer
        return learning_rate(self.bare_optimizer) if name is None else step_rate(name, self.bare_optimizer)

    def use_averaged_weights(self) -> None:
        """Put the average of an averaging optimizer into the model: the weights to save and to use."""
        name, optimizer = self.args.optimizer, cast(Any, self.optimizer)
        if name is not None and OPTIMIZERS[name].averages and optimizer is not None:
            optimizer.eval()
