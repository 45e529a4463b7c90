"""`UnlearnConfig`: options of an unlearning run, checked when they are made."""

import os
from dataclasses import dataclass
from typing import Any, cast

import torch
from transformers import TrainingArguments

from ngdiff.errors import InputError
from ngdiff.speed.fused_kernels import FUSED_LOSSES
from ngdiff.tasks.base import RunSettings
from ngdiff.training.check_inherited import check_installed, check_optimizer, check_precision, check_schedule
from ngdiff.training.sharding import check_fsdp_options
from ngdiff.training.unlearn_arguments import UnlearnArguments


@dataclass
class UnlearnConfig(UnlearnArguments, TrainingArguments):  # type: ignore[misc]  # a rate may be a word
    """Arguments of `UnlearnTrainer`: those of `transformers.TrainingArguments` and our own.

    `UnlearnArguments` has the options and says which defaults differ from transformers', and why.

    Raises:
        InputError: an option that cannot be used, named with the value found.
    """

    def __post_init__(self) -> None:
        self.check()
        self.try_optimizer(self.weight_decay)
        check_fsdp_options(self)
        check_installed(self)
        use_cpu_without_accelerator(self)
        if self.ddp_find_unused_parameters is None and int(os.environ.get("WORLD_SIZE") or 1) > 1:
            self.ddp_find_unused_parameters = False  # every objective reaches all weights (see `compute_loss`)
        check_precision(self)
        TrainingArguments.__post_init__(self)
        unpin_without_accelerator(self)
        check_optimizer(self, replaced=None if self.optimizer is None else f"--optimizer {self.optimizer}")
        check_schedule(self)
        if self.fused_loss != "none" and self.device.type == "cpu" and not FUSED_LOSSES[self.fused_loss].on_cpu:
            raise InputError(f"--fused-loss {self.fused_loss} runs on GPUs only; on CPU use none or cce")

    @property
    def rows_per_step(self) -> int:
        """Rows of each set in one step, over all processes and accumulated micro-batches."""
        return self.train_batch_size * self.gradient_accumulation_steps * self.world_size

    @property
    def shows_bars(self) -> bool:
        """Whether this process shows bars on a terminal."""
        return not self.disable_tqdm and self.process_index == 0

    def run_settings(self) -> RunSettings:
        """Settings of the run for its task."""
        parts = self.parts
        return RunSettings(
            objectives=cast(Any, self.resolve_objectives()),
            objective_names={"retain": parts.retain, "forget": parts.forget},
            device=self.device,
            gradient_buffers=self.gradient_buffers,
            processes=self.world_size,
            compiled=self.torch_compile,
            text=self,
        )


def use_cpu_without_accelerator(args: TrainingArguments) -> None:
    """Several processes on a machine without accelerators: unless told, accelerate would let each run on its own."""
    if int(os.environ.get("WORLD_SIZE") or 1) > 1 and not torch.accelerator.is_available():
        args.use_cpu = True


def unpin_without_accelerator(args: TrainingArguments) -> None:
    """Pinned memory serves the copy to an accelerator; where there is none, torch warns of it at every run."""
    if args.device.type == "cpu":
        args.dataloader_pin_memory = False
