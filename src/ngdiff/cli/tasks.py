"""What each command does for each kind of model and rows: `TASKS`.

Options, arguments of the trainer, rows and places are checked before torch is imported, which takes seconds: the
modules of the kinds import what needs it where they use it.
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from ngdiff.cli.earlier import EarlierRequests
from ngdiff.cli.image_evaluation import ImageEvaluation
from ngdiff.cli.image_finetuning import ImageFinetuning
from ngdiff.cli.image_unlearning import ImageUnlearning
from ngdiff.cli.parsing import CommandParser
from ngdiff.cli.text_evaluation import TextEvaluation
from ngdiff.cli.text_finetuning import TextFinetuning
from ngdiff.cli.text_unlearning import TextUnlearning
from ngdiff.option import dashed

if TYPE_CHECKING:
    from ngdiff.evaluation import EvaluationResult
    from ngdiff.evaluation.processes import Processes
    from ngdiff.evaluation.work import Work
    from ngdiff.training import UnlearnConfig, UnlearnTrainer
    from ngdiff.training.finetune import FinetuneResult


class Material(Protocol):
    """Interface of a kind for a command that trains. Made of options and the arguments of the trainer, which are
    checked.

    Attributes:
        parser: Option groups and help of the command.
        config: The arguments of the trainer that it was made of.
        inputs: Models and data sets as typed, which `--overwrite` must not delete.
        data, model_files, template, template_text: For the manifest; after `read`.
        own: Further files of the user's own that the run reads, with their hashes, by option; for the manifest.
        companion: Saved with the model, such as a tokenizer; after `read`.
    """

    parser: CommandParser
    config: Any
    inputs: list[str | Path]
    data: dict[str, dict[str, Any]]
    model_files: dict[str, Any]
    own: dict[str, dict[str, Any]]
    companion: Any

    @property
    def template(self) -> str | None:
        """As above."""
        ...

    @property
    def template_text(self) -> str | None:
        """As above."""
        ...

    def __init__(self, options: Any, config: Any) -> None: ...

    @classmethod
    def arguments(cls, values: Mapping[str, Any], output: Path) -> Any:
        """The arguments of the trainer, as far as they can be made and checked without torch.

        Args:
            values: From the parser.
            output: Where checkpoints go.

        Raises:
            InputError: arguments that cannot be used.
        """
        ...

    @classmethod
    def trainer_config(cls, values: Mapping[str, Any], output: Path) -> Any:
        """As `arguments`, for the trainer."""
        ...

    def open_inputs(self) -> None:
        """Read and check what needs no torch: rows of text; of images and models whether they are there.

        Raises:
            InputError: data that cannot be used.
        """
        ...

    @classmethod
    def accepted(cls, values: Mapping[str, Any]) -> Any:
        """The options that are not arguments of the trainer; None where nothing is left to do."""
        ...

    def read(self) -> None:
        """Read and check the rest of the data; once, after `open_inputs`.

        Raises:
            InputError: data that cannot be used.
        """
        ...


class Unlearning(Material, Protocol):
    """`ngdiff unlearn` of a kind.

    Attributes:
        earlier: The earlier requests that the run follows; rows are read by `read`.
        extra: More for the manifest; after `read`.
        any_number_of_processes: Whether a run may be shared by processes, and go on in another number of them.
    """

    any_number_of_processes: bool
    extra: dict[str, Any]
    earlier: EarlierRequests

    def trainer(self, output: Path, config: "UnlearnConfig") -> "UnlearnTrainer":
        """Load the model; the trainer with model, sets and task."""
        ...

    def evaluation(self) -> str:
        """The command line that scores the model afterwards."""
        ...


class Finetuning(Material, Protocol):
    """`ngdiff finetune` of a kind.

    Attributes:
        model: After `load`.
    """

    model: Any

    def load(self, output: Path) -> None:
        """Load the model, or make one."""
        ...

    def begun(self) -> None:
        """Write the files that belong next to the model from the start; the folder exists."""
        ...

    def train(self, config: Any, **options: Any) -> "FinetuneResult":
        """Train the model in place; config is of `trainer_config`, options are callbacks, resume and stop_request."""
        ...


class Evaluation(Protocol):
    """`ngdiff evaluate` of a kind. Made of its options, which are checked.

    Attributes:
        parser: Option groups and help of the command.
        inputs: Models and data sets as typed, which `--overwrite` must not delete.
        own: As of `Material`.
        seed: Of whatever is drawn.
        template, template_text: Name and text of the template by which rows became inputs; after `read`.
    """

    parser: CommandParser
    inputs: list[str | Path]
    own: dict[str, dict[str, Any]]
    seed: int

    @property
    def template(self) -> str | None:
        """As above."""
        ...

    @property
    def template_text(self) -> str | None:
        """As above."""
        ...

    def __init__(self, options: Any) -> None: ...

    @classmethod
    def accepted(cls, values: Mapping[str, Any]) -> Any:
        """The options."""
        ...

    def open_inputs(self) -> None:
        """As of `Material`.

        Raises:
            InputError: data that cannot be used.
        """
        ...

    def read(self) -> None:
        """Read and check the rest of the data; once, after `open_inputs`.

        Raises:
            InputError: data that cannot be used.
        """
        ...

    def data(self) -> dict[str, dict[str, Any]]:
        """For the manifest."""
        ...

    def model_files(self) -> dict[str, Any]:
        """For the manifest."""
        ...

    def load(self, processes: "Processes") -> None:
        """Load the model; whatever can be checked before the first prediction is."""
        ...

    def result(self, work: "Work") -> "EvaluationResult":
        """Predict, and score in the process that leads."""
        ...


@dataclass(frozen=True)
class TaskCommands:
    """The commands of one kind."""

    unlearn: type[Unlearning]
    finetune: type[Finetuning]
    evaluate: type[Evaluation]


TASKS: dict[str, TaskCommands] = {
    "text": TaskCommands(unlearn=TextUnlearning, finetune=TextFinetuning, evaluate=TextEvaluation),
    "image": TaskCommands(unlearn=ImageUnlearning, finetune=ImageFinetuning, evaluate=ImageEvaluation),
}


def _refuse_options_of_other_tasks() -> None:
    """An option that a command has for the other kind alone is refused as such, not as a misspelt one."""
    for command in ("unlearn", "finetune", "evaluate"):
        text, image = (getattr(kinds, command).parser for kinds in (TASKS["text"], TASKS["image"]))
        of_both = {_BATCH_SIZE, *(text.names & image.names)}
        for name in text.names - of_both:
            image.refused.setdefault(name, f"{dashed(name)} is for texts; --task image does not have it")
        for name in image.names - of_both:
            text.refused.setdefault(name, f"{dashed(name)} is for images: give --task image")


_BATCH_SIZE = "batch_size"  # of an evaluation of images: elsewhere it stands for other options
_refuse_options_of_other_tasks()
