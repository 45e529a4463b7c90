"""Memory and time of a run, estimated before it starts, on a machine that may be far too small for it."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from peft import PeftConfig
from torch import nn
from torch._subclasses.fake_tensor import FakeTensorMode

from ngdiff.core.slots import SIDES
from ngdiff.data import Template
from ngdiff.estimate.fake_model import fake_model
from ngdiff.estimate.fake_run import FakeRun
from ngdiff.estimate.live import LiveBytes, Peak
from ngdiff.estimate.processes import part_of_one_process
from ngdiff.estimate.rehearsal import Findings, RehearsalTrainer, rehearsal_options
from ngdiff.estimate.speed import efficiency, product_speed
from ngdiff.estimate.workload import Workload, workload
from ngdiff.tasks import Rows, TextTask
from ngdiff.training import UnlearnConfig, UnlearnTrainer
from ngdiff.training.arrival import MOST

# Losses that the first probe evaluates, which searches for the scale of the rate (some five fits), and every other one.
_SEARCH_FORWARDS, _PROBE_FORWARDS = 11, 3


@dataclass(frozen=True)
class Estimate:
    """What a run will need, of each process.

    Args:
        peaks: Moment -> the most bytes alive in it on the device, by purpose.
        host: Bytes of a gradient that is stashed on the host.
        steps: Number of steps; the fewest of a run that ends when its losses have arrived.
        longest: How many times as many it may take.
        step_operations: Operations of matrix products and attention in a mean step without a probe.
        operations: The same in the whole run.
        speed: Operations a second of a matrix product, measured.
        efficiency: Part of that speed which a step is expected to reach.
        processes: Number of processes.
        workload: The batches.
    """

    peaks: dict[str, Peak]
    host: int
    steps: int
    longest: int
    step_operations: float
    operations: float
    speed: float
    efficiency: float
    processes: int
    workload: Workload

    @property
    def moment(self) -> str:
        """When the most memory is needed."""
        return max(self.peaks, key=lambda name: self.peaks[name].total)

    @property
    def peak(self) -> Peak:
        """The most bytes alive at once in the whole run."""
        return self.peaks[self.moment]

    @property
    def seconds(self) -> float:
        """Of the whole run, `operations / (speed * efficiency)`."""
        return self.operations / (self.speed * self.efficiency)


def estimate(
    model: str | Path,
    config: UnlearnConfig,
    forget: Rows,
    retain: Rows,
    *,
    holdout: Rows = None,
    protect: Rows = None,
    tokenizer: Any,
    template: Template | None = None,
    dtype: str = "float32",
    peft_config: PeftConfig | None = None,
    merge_adapter: bool = False,
    processes: int = 1,
    sharded: bool = False,
    trust_remote_code: bool = False,
    show_progress: bool = False,
) -> Estimate:
    """Peak memory and time of `UnlearnTrainer` with these options and rows.

    The trainer itself takes two steps on the largest batches of the run with a model of fake tensors, each step with a
    probe if the learning rate is searched. So the effect of every option on memory is included. Not included: the
    interpreter and its libraries, working memory of kernels, what an allocator holds beyond what is in use; and fused
    losses (`--fused-loss`) are treated as plain ones.

    Args:
        model: Hub name or folder, with or without weights, a shape or a `config.json`.
        config: Options, made in a single process.
        forget, retain, holdout, protect: Rows, as for `UnlearnTrainer`. A base model is estimated by its output head;
            while it is evaluated, before the first step, it also takes memory for its weights.
        tokenizer: The tokenizer of the rows.
        template: If it is resolved already; the sets are then taken to be checked against each other already.
        dtype: Of the weights.
        peft_config: Of an adapter.
        merge_adapter: The model is an adapter, which is merged into its base first.
        processes: How many will run, each with the batch of `config`.
        sharded: With weights sharded over them (FSDP2).
        trust_remote_code: Run Python code that comes with the model.
        show_progress: Show a bar of the passes on standard error.

    Raises:
        InputError: model, rows or options that the run would refuse.
    """
    fake = FakeTensorMode()
    mode = FakeRun(fake)
    rehearsed = fake_model(
        model,
        fake,
        tokenizer=tokenizer,
        dtype=dtype,
        device=config.device,
        peft_config=peft_config,
        merge_adapter=merge_adapter,
        trust_remote_code=trust_remote_code,
    )
    with rehearsal_options(config) as options:
        task = TextTask(rehearsed, tokenizer, options, template=template)
        trainer = RehearsalTrainer(
            rehearsed,
            options,
            forget,
            retain,
            holdout_dataset=holdout,
            protect_dataset=protect,
            base_model=rehearsed if config.has_base_model else None,
            processing_class=tokenizer,
            task=task,
            mode=mode,
            live=LiveBytes(),
            show_progress=show_progress,
        )
        load = workload(trainer, config, processes=processes)
        found = trainer.rehearse(load.pairs)
    step = _step_operations(config, load, found)
    peaks = {
        moment: part_of_one_process(peak.parts, rehearsed, processes=processes, sharded=sharded)
        for moment, peak in found.peaks.items()
    }
    return Estimate(
        peaks={moment: Peak({k: v for k, v in parts.items() if k != "host"}) for moment, parts in peaks.items()},
        host=max(parts.get("host", 0) for parts in peaks.values()),
        steps=load.steps,
        longest=MOST if config.stops_arrived else 1,
        step_operations=step,
        operations=load.steps * step + _other_operations(config, load, found, trainer),
        speed=_speed(rehearsed, config, load),
        efficiency=efficiency(config.device),
        processes=processes,
        workload=load,
    )


def _step_operations(config: UnlearnConfig, load: Workload, found: Findings) -> float:
    """All passes of a mean step."""
    retain, forget = (found.operations[f"{side} pass"] * load.share[side] for side in SIDES)
    return load.micro_batches * (retain + forget * (2 if config.gradient_buffers == 1 else 1))


def _other_operations(config: UnlearnConfig, load: Workload, found: Findings, trainer: UnlearnTrainer) -> float:
    """Of probes, and of the losses before and after."""
    forward = found.operations["loss"] * load.share["retain"]
    probes = 0
    if config.autolr:
        probes = load.steps // config.autolr_interval * (_PROBE_FORWARDS - (config.autolr_batch == "same"))
        probes += _SEARCH_FORWARDS if config.autolr_search else 0
    looks = 2 * sum(trainer.loss_rows.values()) / config.train_batch_size
    return (probes * load.micro_batches + looks) * forward


def _speed(model: nn.Module, config: UnlearnConfig, load: Workload) -> float:
    matrices = [p.shape for m in model.modules() if isinstance(m, nn.Linear) for p in m.parameters() if p.ndim == 2]
    inner, columns = cast(Any, max(matrices, key=lambda shape: shape[0] * shape[1], default=(512, 2048)))
    dtype = torch.bfloat16 if config.bf16 else next(model.parameters()).dtype
    return product_speed(max(load.tokens.values()), inner, columns, dtype=dtype, device=config.device)
