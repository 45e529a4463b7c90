"""`Task`: what the trainer needs to know about a kind of model and rows."""

from collections.abc import Callable, Iterable, Mapping, Sequence, Set
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from ngdiff.core.answers import Answers, count_units
from ngdiff.core.slots import Side
from ngdiff.errors import InputError
from ngdiff.objectives import Objective
from ngdiff.option import dashed
from ngdiff.tasks.text_options import TextOptions

Rows = Any  # what a data set argument may be: a path or name, a `datasets.Dataset`, a sequence of mappings, ...
Example = Mapping[str, Any]  # one encoded row

NO_ROW = -1  # `row_id` of a placeholder


@dataclass(frozen=True)
class RunSettings:
    """Settings of the run for its task.

    Args:
        objectives: The objective of each side.
        objective_names: How the user named them, for messages.
        device: Where the model is trained.
        gradient_buffers: 1 or 2; with 1 the forget pass is taken twice, and both times must be the same.
        processes: How many train the model.
        compiled: Whether the model is compiled.
        protects: Whether the run has protected rows, in retain batches under `protect`.
        text: Options of language models. A task of another kind refuses those that were given.
    """

    objectives: Mapping[Side, Objective]
    objective_names: Mapping[Side, str]
    device: torch.device
    gradient_buffers: int = 2
    processes: int = 1
    compiled: bool = False
    protects: bool = False
    text: TextOptions = field(default_factory=TextOptions)


class Alternates(Protocol):
    """Encoded forget rows with an alternative answer in place of their own, by (row, choice)."""

    @property
    def count(self) -> int:
        """Number of answers of each row."""
        ...

    def longest(self, row: int) -> int:
        """Number of the row's longest answer."""
        ...

    def __getitem__(self, place: tuple[int, int]) -> Example:
        """The encoded row; its `row_id` is unique among all rows and choices."""
        ...

    def of_epochs(self, epochs: int, *, seed: int) -> Iterable[Example]:
        """Every row that the first `epochs` epochs use, each once."""
        ...


# Model -> name of a number in the log -> its value. It leaves the model and the generators of the process as they are.
QuickMeasure = Callable[[nn.Module], Mapping[str, float]]


class ForwardPass(Protocol):
    """One forward pass over a batch."""

    def __call__(
        self, model: nn.Module, batch: Mapping[str, Tensor], needs: Set[str] = frozenset(), layer: int | None = None
    ) -> Answers:
        """Losses of the labels that count, in float32, with their graph.

        Args:
            model: The model, in whatever wrapper trains it.
            batch: From `Task.collate`, on the model's device.
            needs: Outputs that are needed in addition to the losses: `logits`; `hidden`, the states after `layer`
                where labels are predicted; `head_input`, the states that the output head makes logits of, in
                `Answers.hidden`, which may be left out. A task refuses in `prepare` an objective of which it cannot
                give what it needs.
            layer: Whose output is wanted as `hidden`.
        """
        ...


class Task(Protocol):
    """A kind of model and rows: all that `UnlearnTrainer` knows of them.

    A class that inherits from `Task` has the defaults below. It must define `inputs`, `hashed`, `encode`, `collate`,
    `placeholder`, `forward` and `choices`.

    The trainer calls `prepare`, `encode_pair`, `encode_holdout`, `encode_protected` and `alternates` at most once each
    and in this order, when it is made; `check_forward` before the first step; and, within `training`, `forward` for
    every pass.

    Attributes:
        inputs: Keys of a batch that the model needs; others, but those of a collator of the user's own, are dropped.
        hashed: Keys of an encoded row that say what it is: the outputs of the model before unlearning are stored
            under their hash.
        noun: What the model is, for messages.
        unit: What a loss is a mean over, for messages.
        conditions: What must be as in the model's training for its losses to be those of its training, for messages.
        same_in_evaluation: Whether the model, dropout aside, computes the same in training and in evaluation mode.
        holdout_is_like_forget: Whether a model that never saw the forget rows would treat them as it treats the holdout
            rows, so that `--method auto` may take levels from these.
        auto_retain: Retain objective of `--method auto`, where it takes levels: `ce`, or `kl` for models that get surer
            of every row the longer they train on rows that they know.
        level_rows: Holdout rows from which levels are taken, at most, evenly spread. Their losses are measured again
            every tenth step.
        collate: Encoded rows -> a batch: tensors whose first dimension is the rows, with "labels", and "row_id" where
            the rows have it. Labels are (B,), one for each row, or (B, T), of which those from place 1 on are predicted
            (`ngdiff.core.answers.count_units`).
        forward: A forward pass over a batch; an attribute or a method.
        template_name: Name of the template by which rows became inputs, for the manifest; None where there is none.
        template_text: That template in full; None where there is none, or none is known.
    """

    inputs: Sequence[str]
    hashed: Sequence[str]
    noun: str = "this kind of model"
    unit: str = "token"
    conditions: str = "model and rows"
    same_in_evaluation: bool = True
    holdout_is_like_forget: bool = True
    auto_retain: str = "ce"
    level_rows: int = 64
    collate: Callable[[Sequence[Example]], dict[str, Any]]
    forward: ForwardPass

    @property
    def template_name(self) -> str | None:
        """As above."""
        return None

    @property
    def template_text(self) -> str | None:
        """As above."""
        return None

    def prepare(self, run: RunSettings) -> None:
        """Called once with the settings of the run, before any row is read.

        Raises:
            InputError: the run asks for something that this kind of model or rows does not have; by default an option
                of language models.
        """
        for name in run.text.asked_for():
            raise InputError(f"{dashed(name)} is for language models; {self.noun} does not have it")

    # ---- rows ------------------------------------------------------------------------------------------------------

    def encode(self, source: Rows, role: str) -> Sequence[Example]:
        """The encoded rows of a data set argument; with "labels" in each.

        Args:
            source: As the user gave it.
            role: Names it in messages, such as `--forget`.

        Raises:
            InputError: no rows, or rows that the model cannot take.
        """
        ...

    def encode_pair(self, forget: Rows, retain: Rows) -> tuple[Sequence[Example], Sequence[Example]]:
        """Both sets encoded.

        Raises:
            InputError: as `encode`; and, if the task can detect it, a row that is in both sets.
        """
        return self.encode(forget, "--forget"), self.encode(retain, "--retain")

    def encode_holdout(self, source: Rows) -> Sequence[Example]:
        """Encoded rows that the model never saw; after `encode_pair`. Raises as `encode`."""
        return self.encode(source, "--holdout")

    def encode_protected(self, source: Rows) -> Sequence[Example]:
        """Encoded rows whose predictions are to stay as they are; after `encode_pair`.

        Raises:
            InputError: as `encode`; or a task whose batches cannot be put side by side (`ngdiff.tasks.alternates`).
        """
        raise InputError(f"--protect: {self.noun} cannot protect rows; put them into the retain set")

    def alternates(self) -> Alternates:
        """The forget rows with alternative answers, for objectives that teach one; after `encode_pair`.

        Raises:
            InputError: these rows have none.
        """
        raise InputError(
            f"{type(self).__name__} has no other answers that could be taught; use a forget objective that needs none, "
            "such as ce or npo"
        )

    def familiarity(self, rows: Sequence[Example], known: Sequence[Example]) -> list[Tensor]:
        """What rows that a model learnt say about how hard it finds the labels of others.

        Args:
            rows: Encoded rows.
            known: Those that the model learnt.

        Returns:
            (T, F) for each row: F numbers about each of its T labels that count, in their order. By default F is 0.
        """
        return [torch.empty(int(count_units(self.collate([row])["labels"], "token")), 0) for row in rows]

    def quick_measure(self, forget: Sequence[Example], retain: Sequence[Example]) -> QuickMeasure:
        """Numbers for the log of a run, from a few encoded rows of both sets (`--eval-generate-steps`).

        Raises:
            InputError: there are none for this kind of model.
        """
        raise InputError(
            f"--eval-generate-steps and --utility-floor are for language models; {self.noun} does not have them"
        )

    def lengths(self, rows: Sequence[Example]) -> list[int] | None:
        """Length of each row, by which steps are grouped; None for rows that all take the same time."""
        return None

    def placeholder(self, row: Example) -> Example:
        """A row like `row` from which nothing is learned: its labels are `IGNORED`, its `row_id` is `NO_ROW`."""
        ...

    # ---- batches ---------------------------------------------------------------------------------------------------

    def check_forward(self, model: nn.Module, batch: Mapping[str, Tensor]) -> None:
        """Check the forward pass before the first step, on rows to forget, without gradients.

        Raises:
            InputError: the model cannot be trained on such rows.
        """
        return None

    def choices(self, model: nn.Module) -> int:
        """Number of classes or tokens that a label is one of: uniform guessing has the loss `ln(choices)`."""
        ...

    def training(self, model: nn.Module) -> AbstractContextManager[None]:
        """A context in which the model is trained: what it changes of the model is undone afterwards."""
        return nullcontext()
