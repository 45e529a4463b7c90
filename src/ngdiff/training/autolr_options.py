"""Options of the learning rate: found by AutoLR (`ngdiff.training.probing`), by an optimizer, or a number."""

import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from ngdiff.errors import InputError
from ngdiff.option import check_choice, option
from ngdiff.training.bounds import check_rate
from ngdiff.training.optimizers import OPTIMIZERS, check_optimizer_name, make_optimizer

if TYPE_CHECKING:
    from ngdiff.core.autolr import AutoLRSettings

# Nominal rate of the optimizer before AutoLR has chosen one; where the search runs it has no influence.
_NOMINAL_RATE = 1e-4

_LEARNING_RATE_FORMS = "auto, auto:START or a positive number"


@dataclass
class AutoLROptions:
    """What determines the length of a step, and how AutoLR finds it. Part of `UnlearnConfig`."""

    learning_rate: float | str = option(
        "auto", f"{_LEARNING_RATE_FORMS}; auto finds it from the retain loss, START is where its search begins", "RATE"
    )
    optimizer: str | None = option(
        None,
        "an optimizer that finds its own step or needs no schedule, in place of --optim and of the search for a "
        f"learning rate: {', '.join(OPTIMIZERS)}",
        "NAME",
    )
    autolr_interval: int = option(10, "steps between two probes of the learning rate")
    autolr_max_change: float = option(4.0, "largest factor by which one probe changes the learning rate; inf: any")
    autolr_inertia: float = option(
        0.5, "weight of the last learning rate in the new one (of their logarithms); 0: what the probe asks for"
    )
    autolr_batch: str = option(
        "fresh", "retain rows of a probe: fresh (those of the next step) or same (those of the step itself)"
    )
    autolr_memory: str = option(
        "auto",
        "what a probe leaves: exact (everything bit for bit; needs twice the weights and the optimizer's state more "
        "while it lasts), lean (its step is the run's own, so that callbacks see no gradients then; needs the weights "
        "once more), or auto: lean where weights are float32 and the optimizer allows it",
    )
    autolr_search: bool = option(True, "search for the scale of the learning rate at the first step")
    autolr_widen: bool = option(True, "repeat a probe whose differences are lost in rounding with a wider radius")

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

    def autolr_settings(
        self,
        *,
        retain_counts: bool = True,
        noise: float,
        measure_noise: bool = False,
        origin_device: str | None = None,
    ) -> "AutoLRSettings":
        """Settings of the learning-rate probe.

        Args:
            retain_counts: False where the weighting gives the retain gradient no weight. Its loss cannot guide the
                step then (a search would shrink it to nothing), so it runs as `AutoLRSettings.as_printed`.
            noise: Relative rounding noise of a loss.
            measure_noise: Whether it depends on the rows, too, so that a search measures it.
            origin_device: Where a lean probe keeps the weights that it started from; None: where they are.
        """
        from ngdiff.core.autolr import AutoLRSettings

        memory: dict[str, Any] = {"memory": self.autolr_memory, "origin_device": origin_device}
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
            measure_noise=measure_noise,
            widen=self.autolr_widen,
            **memory,
        )

    def check_learning_rate(self) -> None:
        """Bring `learning_rate` into its form, and refuse what is not known or contradicts itself.

        Raises:
            InputError: an option that cannot be used, or not with the others.
        """
        text = str(self.learning_rate).strip()
        if text == "auto":
            self.learning_rate = text
        elif text.startswith("auto:"):
            self.learning_rate = f"auto:{_positive(text.removeprefix('auto:'), f'--learning-rate {text}')!r}"
        else:
            self.learning_rate = _positive(text, f"--learning-rate {text}")
        self._check_optimizer()
        self._check_probes()

    def check_schedule_of_rate(self, schedule: str, warmup_steps: float) -> None:
        """Refuse a schedule that AutoLR would contradict, and a warm-up that does nothing.

        Args:
            schedule: Value of `lr_scheduler_type`.
            warmup_steps: As given.

        Raises:
            InputError: names the option and what to do.
        """
        if self.autolr and schedule != "constant":
            raise InputError(
                f"--lr-scheduler-type {schedule} would overwrite the learning rate that "
                "--learning-rate auto finds; leave it at constant or give a number as learning rate"
            )
        if warmup_steps and schedule == "constant":
            raise InputError(
                f"--warmup-steps {warmup_steps:g} does nothing here: --learning-rate auto needs no warm-up, and a "
                "fixed rate warms up under --lr-scheduler-type constant_with_warmup"
            )

    def try_optimizer(self, weight_decay: float) -> None:
        """Make the optimizer once, on a weight of its own: a missing package is found now.

        Args:
            weight_decay: As given.

        Raises:
            InputError: it cannot be made.
        """
        if self.optimizer is not None:
            import torch

            make_optimizer(self.optimizer, [torch.nn.Parameter(torch.zeros(1))], weight_decay=weight_decay)

    def _check_optimizer(self) -> None:
        if self.optimizer is None:
            return
        given = self.learning_rate
        if isinstance(given, str) and given != "auto":
            reason = OPTIMIZERS[self.optimizer].not_autolr if self.optimizer in OPTIMIZERS else ""
            raise InputError(f"--learning-rate {given} with --optimizer {self.optimizer}: {reason}")
        check_optimizer_name(self.optimizer)

    def _check_probes(self) -> None:
        if not self.autolr_max_change > 1.0:
            raise InputError(f"--autolr-max-change {self.autolr_max_change:g} is not a factor above 1")
        check_choice("--autolr-batch", self.autolr_batch, ("fresh", "same"))
        check_choice("--autolr-memory", self.autolr_memory, ("auto", "exact", "lean"))
        if self.autolr_memory == "lean" and not self.autolr:
            raise InputError("--autolr-memory lean has no meaning without --learning-rate auto: nothing is probed")


def _positive(text: str, option: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not (math.isfinite(number) and number > 0):
        raise InputError(f"{option} is not {_LEARNING_RATE_FORMS}")
    check_rate(number, option)
    return number
