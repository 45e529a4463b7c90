"""Options of an unlearning run as the command line reads them: checked as far as that goes without torch."""

import logging
from dataclasses import dataclass, replace
from typing import Any, Self

from ngdiff.errors import InputError
from ngdiff.objectives import FORGET_OBJECTIVES, RETAIN_OBJECTIVES, Objective, forget_ceiling
from ngdiff.objectives.resolve import resolve_objective
from ngdiff.option import check_choice, dashed, option
from ngdiff.spec import parse_spec
from ngdiff.tasks.text_options import TextOptions
from ngdiff.training.arrival import ARRIVED, MOST
from ngdiff.training.autolr_options import AutoLROptions
from ngdiff.training.bounds import check_bounds
from ngdiff.training.check_given import check_given
from ngdiff.training.given import as_given
from ngdiff.training.gradient_options import GradientOptions
from ngdiff.training.loss_bound import check_loss_bound
from ngdiff.training.methods import AUTO, Method, method_for, resolve_method
from ngdiff.training.presets import PRESETS, preset_values
from ngdiff.training.trainer_fields import TrainerFields
from ngdiff.training.value_types import check_types
from ngdiff.weighting import Weighting, resolve_weighting

logger = logging.getLogger(__name__)

_NAMED = "_named_options"  # an attribute that is no option: names of those that were given


@dataclass
class UnlearnArguments(AutoLROptions, GradientOptions, TextOptions, TrainerFields):  # type: ignore[misc]  # a rate may be a word
    """The fields of `UnlearnConfig`, which makes arguments of a trainer of them, and their checks without torch.

    Defined here are the method and defaults of the trainer; the bases hold the options of the learning rate, of
    gradients and of texts, and the fields of `transformers.TrainingArguments`.

    Defaults that differ from transformers', and why:

    - `learning_rate="auto"`: found from the retain loss (`ngdiff.core.autolr`). A number is a fixed rate.
    - `max_grad_norm=0`: no clipping. A combined NGDiff gradient has norm `sqrt(2 + 2 cos)`, up to 2, so that the usual
      1.0 would clip nearly always and undo the weighting's length.
    - `num_train_epochs=15`: passes over the forget set, as in the paper's experiments.
    - `lr_scheduler_type="constant"`: a decay schedule would overwrite the rate that AutoLR found.
    - `logging_steps=1`, `save_strategy="epoch"`: runs are short, and each step is informative.
    - `save_total_limit=2`: a checkpoint holds the optimizer's state, three times the size of the model.
    - `logging_nan_inf_filter=False`: a loss that is not a number stops the run instead of being hidden.
    - `weight_decay=0`: decay pulls on what is to be kept.
    - `train_sampling_strategy="group_by_length"`: the rows of a step have similar lengths, so there is less padding.

    Raises:
        InputError: an option that cannot be used, named with the value found.
    """

    method: str = option(
        AUTO,
        "usual name of a method, or OBJECTIVE+WEIGHTING such as npo+ngdiff; listed by `ngdiff methods`; auto: "
        f"{method_for(base_model=True, holdout=True)} with --base-model, else "
        f"{method_for(base_model=False, holdout=True)}; images of any class: "
        f"{method_for(base_model=False, holdout=True, retain='kl')}; a class of images, and in Python no holdout rows: "
        f"{method_for(base_model=False, holdout=False)}",
        "NAME",
    )
    preset: str | None = option(
        None,
        f"values of several options, where they are not given: {', '.join(PRESETS)} (Algorithm 1 as printed)",
        "NAME",
    )
    stop: str = option(
        "auto",
        f"when the run ends: passes (after --num-train-epochs), arrived (once {ARRIVED}, half as many passes later; at "
        f"least --num-train-epochs, at most {MOST} times as many), or auto: "
        "arrived where the method has levels and --max-steps is not given",
        "WHEN",
    )
    weighting: str | None = option(
        None,
        "how the two gradients are weighed, in place of the method's: NAME[(key=value)] or MODULE:FUNCTION",
        "NAME",
    )
    c: float | None = option(None, "weight of the retain gradient in gdiff, from 0 to 1 (gdiff: 0.5)")
    forget_objective: str | None = option(
        None,
        "what is minimised on the forget set, in place of the method's: NAME[(key=value)] or MODULE:NAME",
        "NAME",
        aliases=["--objective"],
    )
    retain_objective: str | None = option(
        None, f"what is minimised on the retain set, in place of the method's: {', '.join(RETAIN_OBJECTIVES)}", "NAME"
    )
    forget_ceiling: str | None = option(
        None,
        "forget loss, in nats per token or image, above which the forget gradient rests: random (uniform guessing), "
        "holdout (mean loss on --holdout), none, or a number (random; rmu: none)",
        "LOSS",
    )
    max_retain_loss: str = option(
        "auto",
        "retain loss after the run, in nats per token or image, above which the model counts as ruined (exit code 3, "
        "kept in OUTPUT/ruined): auto (half of the way from before to uniform guessing), none, or a number",
        "LOSS",
    )
    on_divergence: str = option(
        "stop",
        "what follows a step that leaves numbers that are not finite, or raises the retain loss by what "
        "--max-retain-loss allows the whole run: stop (the run ends, or its model is ruined) or rollback (it is undone "
        "and the learning rate is a quarter, eight times at most; needs a copy of weights and optimizer state, and a "
        "sixth more time)",
        "WHAT",
    )
    num_train_epochs: float = option(15.0, "passes over the forget set")
    max_grad_norm: float = option(0.0, "clip the combined gradient to this norm; 0: never")
    weight_decay: float = option(0.0, "decoupled weight decay")
    lr_scheduler_type: str = option("constant", "schedule of a fixed learning rate")
    logging_steps: float = option(1, "steps between two log lines")
    logging_nan_inf_filter: bool = option(False, "hide losses that are not numbers")
    save_strategy: str = option("epoch", "when to write a checkpoint: no, epoch, steps, best", "WHEN")
    train_sampling_strategy: str = option(
        "group_by_length", "which rows share a step: group_by_length (those of similar lengths) or random"
    )
    save_total_limit: int | None = option(2, "checkpoints that are kept; none: all")

    # Inputs of a run on which `method="auto"` depends. No options: no annotation, so that they are no fields.
    has_base_model = False
    has_holdout = False
    auto_retain = "ce"

    def __new__(cls, *args: Any, **given: Any) -> Self:
        """Notes which options are given: those that a preset leaves alone."""
        made = super().__new__(cls)
        vars(made)[_NAMED] = frozenset(given)
        return made

    def __post_init__(self) -> None:
        self.check()

    def check(self) -> None:
        """Refuse what can be refused without torch.

        Raises:
            InputError: an option that cannot be used, or not with the others.
        """
        check_types(self)
        self._take_preset()
        check_bounds(self)
        self.check_text()
        self.check_learning_rate()
        self.given = as_given(self)
        self._check_method()
        schedule = str(getattr(self.lr_scheduler_type, "value", self.lr_scheduler_type))
        self.check_schedule_of_rate(schedule, self.warmup_steps)
        check_loss_bound(self.max_retain_loss, "--max-retain-loss")
        check_choice("--on-divergence", self.on_divergence, ("stop", "rollback"))
        if self.on_divergence == "rollback" and self.optimizer is not None:
            raise InputError(
                f"--on-divergence rollback lowers the learning rate; --optimizer {self.optimizer} finds its own step"
            )
        if self.utility_floor is not None and self.optimizer is not None:
            raise InputError(
                f"--utility-floor measures the weights of a step; --optimizer {self.optimizer} may hand over others"
            )
        self._check_pairing()
        self.check_gradients(self.resolve_weighting())
        check_given(self, "unlearn")

    def know(self, *, base_model: bool, holdout: bool, retain: str = "ce") -> None:
        """Further inputs of the run: the model before fine-tuning, rows that the model has never seen; and the task's
        retain objective (`ngdiff.tasks.Task.auto_retain`).

        Raises:
            InputError: an option that cannot be used with the method that follows from it.
        """
        self.has_base_model, self.has_holdout, self.auto_retain = base_model, holdout, retain
        self._check_method()
        if self.stop == "arrived" and "level" not in self.resolve_objectives()["forget"].needs:
            raise InputError(f"--stop arrived: the forget objective {self.parts.forget} has no levels, as unseen has")

    @property
    def stops_arrived(self) -> bool:
        """Whether the run ends when its forget loss has reached its levels."""
        if self.stop != "auto":
            return self.stop == "arrived"
        return self.max_steps <= 0 and "level" in self.resolve_objectives()["forget"].needs

    @property
    def ceiling_form(self) -> str:
        """`forget_ceiling` if it is given; otherwise random, or none for objectives that need none."""
        if self.forget_ceiling is not None:
            return self.forget_ceiling
        objective = self.resolve_objectives()["forget"]
        return "random" if objective.has_token_loss and not objective.ends else "none"

    @property
    def parts(self) -> Method:
        """Weighting and objectives: the method's, where no option replaces them."""
        name = self.method
        if name == AUTO:
            name = method_for(base_model=self.has_base_model, holdout=self.has_holdout, retain=self.auto_retain)
        method = resolve_method(name)
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

    def resolve_weighting(self) -> Weighting:
        """The weighting with its parameters."""
        given = {} if self.c is None else {"c": self.c}
        if given and parse_spec(self.parts.weighting, self._option_of("weighting")).name != "gdiff":
            raise InputError(f"--c {self.c:g} has no meaning for the weighting {self.parts.weighting}; gdiff takes it")
        return resolve_weighting(self.parts.weighting, option=self._option_of("weighting"), **given)

    def resolve_objectives(self) -> dict[str, Objective]:
        """The objectives of both sides, with their parameters."""
        parts = self.parts
        return {
            "retain": resolve_objective(parts.retain, RETAIN_OBJECTIVES, self._option_of("retain_objective")),
            "forget": resolve_objective(parts.forget, FORGET_OBJECTIVES, self._option_of("forget_objective")),
        }

    def _option_of(self, part: str) -> str:
        """The option that chose a part of the method."""
        return "--method" if getattr(self, part) is None else dashed(part)

    def _take_preset(self) -> None:
        if self.preset is None:
            return
        values, other = preset_values(self.preset, vars(self), vars(self)[_NAMED])
        for name, value in values.items():
            setattr(self, name, value)
        if other:
            logger.warning("--preset %s, but with %s.", self.preset, ", ".join(other))

    def _check_method(self) -> None:
        parts = self.parts
        self.resolve_weighting()
        objectives = self.resolve_objectives()
        check_choice("--stop", self.stop, ("auto", "passes", "arrived"))
        if self.stop == "arrived" and self.max_steps > 0:
            raise InputError(f"--stop arrived with --max-steps {self.max_steps}: give one of them")
        if "alternate" in objectives["retain"].needs or not objectives["retain"].own_answers:
            raise InputError(f"--retain-objective {parts.retain} needs other answers, which only forget rows have")
        if self.ceiling_form != "none" and not objectives["forget"].has_token_loss:
            raise InputError(
                f"--forget-ceiling {self.forget_ceiling}: {parts.forget} works on hidden states and has no "
                "token loss that a ceiling could be compared with; use none"
            )
        if self.ceiling_form != "holdout":  # the other forms can be checked before there is a model
            forget_ceiling(self.ceiling_form, vocabulary=2)

    def _check_pairing(self) -> None:
        if self.train_sampling_strategy not in ("group_by_length", "random"):
            raise InputError(
                f"--train-sampling-strategy {self.train_sampling_strategy} is not supported: pairs of forget and "
                "retain rows are always shuffled; group_by_length or random"
            )
