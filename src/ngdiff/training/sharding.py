"""FSDP2, which shards weights, gradients and optimizer state over processes: what two gradients a step require.

Two things would otherwise go wrong silently. Within `no_sync` FSDP2 accumulates the gradients of micro-batches in a
buffer of its own, which would mix both sides: so gradients are reduced after every micro-batch. And a pass without
gradients leaves some weights gathered, so that a later pass would use old values: so they are resharded after every
such pass.
"""

import os
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn
from torch.distributed.fsdp import FSDPModule

from ngdiff.core.shards import is_sharded
from ngdiff.errors import InputError


def has_shards(model: nn.Module) -> bool:
    """Whether some of the model's weights are sharded."""
    return any(is_sharded(parameter) for parameter in model.parameters())


def reshard(model: nn.Module) -> None:
    """Drop gathered weights; the next pass gathers them again. Does nothing to a model without FSDP2."""
    for module in model.modules():
        if isinstance(module, FSDPModule):
            module.reshard()


@contextmanager
def fresh_weights(model: nn.Module) -> Iterator[None]:
    """Within, passes use the current weights; afterwards none stays gathered."""
    reshard(model)
    try:
        yield
    finally:
        reshard(model)


def check_fsdp_options(args: Any) -> None:
    """Refuse forms of FSDP that cannot run, or that would silently be something else.

    Args:
        args: `TrainingArguments` before they are filled in.

    Raises:
        InputError: FSDP1, FSDP in a single process, on CPU, or with weights on the host.
    """
    asked = os.environ.get("ACCELERATE_USE_FSDP", "").lower() in ("true", "1")  # `accelerate launch` sets it
    if not args.fsdp and not asked:
        return
    settings = args.fsdp_config if isinstance(args.fsdp_config, dict) else {}
    version = settings.get("version", settings.get("fsdp_version")) if args.fsdp else os.environ.get("FSDP_VERSION", 1)
    offload = settings.get("cpu_offload", settings.get("fsdp_cpu_offload")) or (
        asked and os.environ.get("FSDP_OFFLOAD_PARAMS", "").lower() == "true"
    )
    if version is not None and int(version) != 2:
        raise InputError(
            "FSDP version 1 is not supported: it keeps weights and gradients in flat buffers, in which the two "
            "gradients cannot be told apart by parameter; use version 2 (fsdp_version: 2)"
        )
    if offload:
        raise InputError(
            "FSDP with weights on the host (cpu_offload) is not supported; use more processes, or --lora-rank"
        )
    if int(os.environ.get("WORLD_SIZE") or 1) == 1:
        raise InputError("--fsdp needs several processes; start it with torchrun or accelerate launch")
    if args.use_cpu or not torch.accelerator.is_available():
        raise InputError(
            "--fsdp on CPU: accelerate would leave the weights whole in every process without a word; leave the "
            "option out (every process then holds the whole model), or load a model sharded "
            "(from_pretrained(distributed_config=...)) and give it to UnlearnTrainer"
        )


def check_accelerator(trainer: Any) -> None:
    """What a launch file may ask for without an option of ours; settings for a model that is sharded, or will be.

    Raises:
        InputError: DeepSpeed, fp16, a model sharded by hand, which accelerate would wrap once more, or, while weights
            are sharded, gradients that wait on the host or answers that the model is to sample.
    """
    if trainer.is_deepspeed_enabled:
        raise InputError(
            "DeepSpeed is not supported: it updates the weights inside the backward pass, before the two gradients can "
            "be combined; use FSDP2 (fsdp_version: 2 in the file of `accelerate launch`)"
        )
    if trainer.accelerator.mixed_precision == "fp16":
        raise InputError(
            "mixed precision fp16 is not supported: its loss scaling multiplies both gradients by a factor that "
            "changes between steps; use bf16 (mixed_precision: bf16 in the file of `accelerate launch`, or --bf16)"
        )
    at_load_time = getattr(trainer, "is_distributed_loading_by_transformers", False)
    if has_shards(trainer.model) and not at_load_time:
        raise InputError(
            "the model's weights are sharded already, by something that the trainer does not know; give the whole "
            "model with --fsdp, or load it with from_pretrained(distributed_config=...), of which the Trainer of "
            "transformers 5.17 does not know yet"
        )
    if trainer.is_fsdp_enabled or at_load_time:
        if trainer.args.stash_device == "cpu":
            raise InputError(
                "--stash-device cpu is not supported with sharded weights; use more processes in its place"
            )
        if "sampled" in trainer.objectives["forget"].needs:
            raise InputError(
                f"--forget-objective {trainer.args.parts.forget} is not supported with sharded weights: other answers "
                "are sampled from the model by one process alone, and none holds all of it; leave out --fsdp "
                "(--lora-rank makes the gradients small), or take dpo"
            )
        trainer.accelerator.gradient_state.plugin_kwargs["sync_each_batch"] = True
