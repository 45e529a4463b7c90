"""Options of an unlearning run, checked when they are made."""

import math
import os
from dataclasses import dataclass, field, replace
from typing import Any, cast

import torch
from torch import nn
from transformers import TrainingArguments

from ngdiff.core.autolr import AutoLRSettings
from ngdiff.errors import InputError
from ngdiff.objectives import FORGET_OBJECTIVES, RETAIN_OBJECTIVES, Objective, forget_ceiling
from ngdiff.objectives.resolve import resolve_objective
from ngdiff.spec import parse_spec
from ngdiff.speed.fused_loss import FUSED_LOSSES
from ngdiff.tasks.base import RunSettings
from ngdiff.tasks.text_options import TextOptions
from ngdiff.training.bounds import check_bounds, check_rate
from ngdiff.training.check_inherited import check_given, check_optimizer, check_schedule
from ngdiff.training.given import as_given
from ngdiff.training.methods import Method, resolve_method
from ngdiff.training.optimizers import OPTIMIZERS, make_optimizer
from ngdiff.training.outcome import check_loss_bound
from ngdiff.training.sharding import check_fsdp_options
from ngdiff.weighting import Weighting, resolve_weighting

# Nominal rate of the optimizer before AutoLR has chosen one; where the search runs it has no influence.
_NOMINAL_RATE = 1e-4

_LEARNING_RATE_FORMS = "auto, auto:START or a positive number"


def _option(default: Any, help: str, value: str | None = None) -> Any:
    return field(default=default, metadata={"help": help, **({"metavar": value} if value else {})})


@dataclass
class UnlearnConfig(TextOptions, TrainingArguments):
    """Arguments of `UnlearnTrainer`: those of `transformers.TrainingArguments` and our own.

    Defaults that differ from transformers', and why:

    - `learning_rate="auto"`: found from the retain loss (`ngdiff.core.autolr`). A number is a fixed rate.
    - `max_grad_norm=0`: no clipping. A combined NGDiff gradient has norm `sqrt(2 + 2 cos)`, up to 2, so that the usual
      1.0 would clip nearly always and undo the weighting's length.
    - `num_train_epochs=15`: passes over the forget set, as in the paper's experiments.
    - `lr_scheduler_type="constant"`: a decay schedule would overwrite the rate that AutoLR found.
    - `logging_steps=1`, `save_strategy="epoch"`: runs are short, and each step tells something.
    - `save_total_limit=2`: a checkpoint holds the optimizer's state, three times the size of the model.
    - `logging_nan_inf_filter=False`: a loss that is not a number stops the run instead of being hidden.
    - `weight_decay=0`: decay pulls on what is to be kept.
    - `train_sampling_strategy="group_by_length"`: the rows of a step have similar lengths, so there is less padding.

    Raises:
        InputError: an option that cannot be used, named with the value found.
    """

    method: str = _option(
        "ngdiff",
        "usual name of a method, or OBJECTIVE+WEIGHTING such as npo+ngdiff; listed by `ngdiff methods`",
        "NAME",
    )
    weighting: str | None = _option(
        None,
        "how the two gradients are weighed, in place of the method's: NAME[(key=value)] or MODULE:FUNCTION",
        "NAME",
    )
    c: float | None = _option(None, "weight of the retain gradient in gdiff, from 0 to 1 (gdiff: 0.5)")
    forget_objective: str | None = field(
        default=None,
        metadata={
            "help": "what is minimised on the forget set, in place of the method's: NAME[(key=value)] or MODULE:NAME",
            "metavar": "NAME",
            "aliases": ["--objective"],
        },
    )
    retain_objective: str | None = _option(
        None, f"what is minimised on the retain set, in place of the method's: {', '.join(RETAIN_OBJECTIVES)}", "NAME"
    )
    forget_ceiling: str | None = _option(
        None,
        "forget loss, in nats a token, above which the forget gradient rests: random (uniform guessing), "
        "holdout (mean loss on --holdout), none, or a number (random; rmu: none)",
        "LOSS",
    )
    max_retain_loss: str = _option(
        "auto",
        "retain loss after the run, in nats a token, above which the model counts as ruined (exit code 3, kept in "
        "OUTPUT/ruined): auto (half of the way from before to uniform guessing), none, or a number",
        "LOSS",
    )
    learning_rate: float | str = _option(  # type: ignore[assignment]  # the trainer hands `starting_rate` on
        "auto",
        f"{_LEARNING_RATE_FORMS}; auto finds it from the retain loss, START is where its search begins",
        "RATE",
    )
    optimizer: str | None = _option(
        None,
        "an optimizer that finds its own step or needs no schedule, in place of --optim and of the search for a "
        f"learning rate: {', '.join(OPTIMIZERS)}",
        "NAME",
    )
    autolr_interval: int = _option(10, "steps between two probes of the learning rate")
    autolr_max_change: float = _option(4.0, "largest factor by which one probe changes the learning rate")
    autolr_inertia: float = _option(
        0.5, "weight of the last learning rate in the new one (of their logarithms); 0: what the probe asks for"
    )
    autolr_batch: str = _option(
        "fresh", "retain rows of a probe: fresh (those of the next step) or same (those of the step itself)"
    )
    autolr_memory: str = _option(
        "auto",
        "what a probe leaves: exact (everything bit for bit; needs twice the weights and the optimizer's state more "
        "while it lasts), lean (its step is the run's own, so that callbacks see no gradients then; needs the weights "
        "once more), or auto: lean where weights are float32 and the optimizer allows it",
    )
    autolr_search: bool = _option(True, "search for the scale of the learning rate at the first step")
    gradient_buffers: int = _option(
        2, "gradients held at once: 2, or 1, which takes the forget pass twice (weightings without inner product only)"
    )
    stash_dtype: str = _option(
        "same", "type in which the gradient of one side waits while the other's pass runs: same or bfloat16"
    )
    stash_device: str = _option(
        "same", "where it waits, and where a lean probe keeps the weights that it started from: same or cpu"
    )
    disable_dropout: bool = _option(True, "train without dropout, whose noise would enter both gradients")

    num_train_epochs: float = _option(15.0, "passes over the forget set")
    max_grad_norm: float = _option(0.0, "clip the combined gradient to this norm; 0: never")
    weight_decay: float = _option(0.0, "decoupled weight decay")
    lr_scheduler_type: str = _option("constant", "schedule of a fixed learning rate")
    logging_steps: float = _option(1, "steps between two log lines")
    logging_nan_inf_filter: bool = _option(False, "hide losses that are not numbers")
    save_strategy: str = _option("epoch", "when to write a checkpoint: no, epoch, steps, best", "WHEN")
    train_sampling_strategy: str = _option(
        "group_by_length", "which rows share a step: group_by_length (those of similar lengths) or random"
    )
    save_total_limit: int | None = _option(2, "checkpoints that are kept; none: all")

    def __post_init__(self) -> None:
        self.check_text()
        self._check_learning_rate()
        self.given = as_given(self)
        self._check_optimizer()
        self._check_method()
        self._check_autolr()
        check_loss_bound(self.max_retain_loss, "--max-retain-loss")
        self._check_pairing()
        self._check_memory()
        check_fsdp_options(self)
        check_bounds(self)
        check_given(self, "unlearn")
        use_cpu_without_accelerator(self)
        if self.ddp_find_unused_parameters is None and int(os.environ.get("WORLD_SIZE") or 1) > 1:
            self.ddp_find_unused_parameters = False  # every objective reaches all weights (see `compute_loss`)
        super().__post_init__()
        unpin_without_accelerator(self)
        check_optimizer(self, replaced=None if self.optimizer is None else f"--optimizer {self.optimizer}")
        check_schedule(self)
        if self.fused_loss != "none" and self.device.type == "cpu" and not FUSED_LOSSES[self.fused_loss].on_cpu:
            raise InputError(f"--fused-loss {self.fused_loss} runs on GPUs only; on CPU use none or cce")

    @property
    def autolr(self) -> bool:
        """Whether the learning rate is found: `learning_rate` is no number, and no `optimizer` finds its own."""
        return isinstance(self.learning_rate, str) and self.optimizer is None

    @property
    def autolr_start(self) -> float | None:
        """START of `auto:START`; None where the search chooses its own."""
        start = str(self.learning_rate).partition(":")[2]
        return float(start) if start else None

    @property
    def starting_rate(self) -> float:
        """The optimizer's learning rate before the first step."""
        if not isinstance(self.learning_rate, str):
            return self.learning_rate
        if self.optimizer is not None:
            return OPTIMIZERS[self.optimizer].learning_rate
        return self.autolr_start or _NOMINAL_RATE

    @property
    def ceiling_form(self) -> str:
        """`forget_ceiling` as it is given; where it is not: random, or none for objectives without a token loss."""
        if self.forget_ceiling is not None:
            return self.forget_ceiling
        return "random" if self.resolve_objectives()["forget"].has_token_loss else "none"

    @property
    def parts(self) -> Method:
        """Weighting and objectives: the method's, where no option replaces them."""
        method = resolve_method(self.method)
        return replace(
            method,
            weighting=self.weighting or method.weighting,
            forget=self.forget_objective or method.forget,
            retain=self.retain_objective or method.retain,
        )

    @property
    def order_seed(self) -> int:
        """Seed of the order of rows and of the answers that are drawn for them."""
        return self.seed if self.data_seed is None else self.data_seed

    @property
    def rows_per_step(self) -> int:
        """Rows of each set in one step, over all processes and accumulated micro-batches."""
        return self.train_batch_size * self.gradient_accumulation_steps * self.world_size

    def resolve_weighting(self) -> Weighting:
        """The weighting with its parameters."""
        given = {} if self.c is None else {"c": self.c}
        if given and parse_spec(self.parts.weighting).name != "gdiff":
            raise InputError(f"--c {self.c:g} has no meaning for --method {self.method}; gdiff takes it")
        return resolve_weighting(self.parts.weighting, option="--weighting", **given)

    def resolve_objectives(self) -> dict[str, Objective]:
        """The objectives of both sides, with their parameters."""
        parts = self.parts
        return {
            "retain": resolve_objective(parts.retain, RETAIN_OBJECTIVES, "--retain-objective"),
            "forget": resolve_objective(parts.forget, FORGET_OBJECTIVES, "--forget-objective"),
        }

    def run_settings(self) -> RunSettings:
        """What a task is told of the run."""
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

    def autolr_settings(self, *, retain_counts: bool = True, noise: float) -> AutoLRSettings:
        """Settings of the learning-rate probe.

        Args:
            retain_counts: False where the weighting gives the retain gradient no weight. Its loss cannot guide the
                step then (a search would shrink it to nothing), so it runs as `AutoLRSettings.as_printed`.
            noise: Relative rounding noise of a loss.
        """
        memory: dict[str, Any] = {
            "memory": self.autolr_memory,
            "origin_device": None if self.stash_device == "same" else self.stash_device,
        }
        if not retain_counts:
            printed = AutoLRSettings.as_printed(self.autolr_start or _NOMINAL_RATE, noise=noise)
            return replace(printed, interval=self.autolr_interval, **memory)
        return AutoLRSettings(
            interval=self.autolr_interval,
            search=self.autolr_search,
            start=self.autolr_start,
            max_change=None if math.isinf(self.autolr_max_change) else self.autolr_max_change,
            inertia=self.autolr_inertia,
            noise=noise,
            **memory,
        )

    def _check_learning_rate(self) -> None:
        text = str(self.learning_rate).strip()
        if text == "auto":
            self.learning_rate = text
        elif text.startswith("auto:"):
            self.learning_rate = f"auto:{_positive(text.removeprefix('auto:'), f'--learning-rate {text}')!r}"
        else:
            self.learning_rate = _positive(text, f"--learning-rate {text}")

    def _check_optimizer(self) -> None:
        if self.optimizer is None:
            return
        given = self.learning_rate
        if isinstance(given, str) and given != "auto":
            reason = OPTIMIZERS[self.optimizer].not_autolr if self.optimizer in OPTIMIZERS else ""
            raise InputError(f"--learning-rate {given} with --optimizer {self.optimizer}: {reason}")
        # Tried on a weight of its own: a missing package is found now.
        make_optimizer(self.optimizer, [nn.Parameter(torch.zeros(1))], weight_decay=self.weight_decay)

    def _check_method(self) -> None:
        parts = self.parts
        if self.c is not None and not 0.0 <= self.c <= 1.0:
            raise InputError(f"--c {self.c:g} is not between 0 and 1")
        self.resolve_weighting()
        objectives = self.resolve_objectives()
        if "alternate" in objectives["retain"].needs or not objectives["retain"].own_answers:
            raise InputError(f"--retain-objective {parts.retain} needs other answers, which only forget rows have")
        if self.ceiling_form != "none" and not objectives["forget"].has_token_loss:
            raise InputError(
                f"--forget-ceiling {self.forget_ceiling}: {parts.forget} works on hidden states and has no "
                "token loss that a ceiling could be compared with; use none"
            )
        if self.ceiling_form != "holdout":  # the other forms can be checked before there is a model
            forget_ceiling(self.ceiling_form, vocabulary=2)

    def _check_autolr(self) -> None:
        if self.autolr_interval < 1:
            raise InputError(f"--autolr-interval {self.autolr_interval} is not a positive number of steps")
        if not self.autolr_max_change > 1.0:
            raise InputError(f"--autolr-max-change {self.autolr_max_change:g} is not a factor above 1")
        if not 0.0 <= self.autolr_inertia < 1.0:
            raise InputError(f"--autolr-inertia {self.autolr_inertia:g} is not from 0 to below 1")
        _known("--autolr-batch", self.autolr_batch, ("fresh", "same"))
        schedule = str(getattr(self.lr_scheduler_type, "value", self.lr_scheduler_type))
        if self.autolr and schedule != "constant":
            raise InputError(
                f"--lr-scheduler-type {self.lr_scheduler_type} would overwrite the learning rate that "
                "--learning-rate auto finds; leave it at constant or give a number as learning rate"
            )
        if self.warmup_steps and schedule == "constant":
            raise InputError(
                f"--warmup-steps {self.warmup_steps:g} does nothing here: --learning-rate auto needs no warm-up, and a "
                "fixed rate warms up under --lr-scheduler-type constant_with_warmup"
            )

    def _check_memory(self) -> None:
        _known("--stash-dtype", self.stash_dtype, ("same", "bfloat16"))
        _known("--stash-device", self.stash_device, ("same", "cpu"))
        _known("--autolr-memory", self.autolr_memory, ("auto", "exact", "lean"))
        if self.autolr_memory == "lean" and not self.autolr:
            raise InputError("--autolr-memory lean has no meaning without --learning-rate auto: nothing is probed")
        if self.gradient_buffers not in (1, 2):
            raise InputError(f"--gradient-buffers {self.gradient_buffers} is neither 1 nor 2")
        if self.gradient_buffers == 2:
            return
        weighting = self.resolve_weighting()
        if weighting.uses_dot:
            raise InputError(
                f"--gradient-buffers 1: the weighting {weighting} uses the inner product of the two gradients, which "
                "are never held together then; use 2, or a weighting without it, such as ngdiff"
            )
        if self.stash_dtype != "same":
            raise InputError(f"--stash-dtype {self.stash_dtype} with --gradient-buffers 1: no gradient waits")
        if not self.disable_dropout:
            raise InputError(
                "--gradient-buffers 1 takes the forget pass twice, and dropout would make them differ; leave "
                "--disable-dropout on, or use 2"
            )

    def _check_pairing(self) -> None:
        if self.train_sampling_strategy not in ("group_by_length", "random"):
            raise InputError(
                f"--train-sampling-strategy {self.train_sampling_strategy} is not supported: pairs of forget and "
                "retain rows are always shuffled; group_by_length or random"
            )


def use_cpu_without_accelerator(args: TrainingArguments) -> None:
    """Several processes on a machine without accelerators: unless told, accelerate would let each run on its own."""
    if int(os.environ.get("WORLD_SIZE") or 1) > 1 and not torch.accelerator.is_available():
        args.use_cpu = True


def unpin_without_accelerator(args: TrainingArguments) -> None:
    """Pinned memory serves the copy to an accelerator; where there is none, torch warns of it at every run."""
    if args.device.type == "cpu":
        args.dataloader_pin_memory = False


def _known(option: str, value: str, table: Any) -> None:
    if value not in table:
        raise InputError(f"{option} {value} is not known; one of {', '.join(table)}")


def _positive(text: str, option: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and number > 0):
        raise InputError(f"{option} is not {_LEARNING_RATE_FORMS}")
    check_rate(number, option)
    return number
