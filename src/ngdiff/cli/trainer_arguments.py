"""The arguments of `UnlearnTrainer`, which texts and images take alike."""

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from ngdiff.cli.parsing import CommandParser
from ngdiff.cli.upload import HUB_OPTIONS
from ngdiff.training.unlearn_arguments import UnlearnArguments

if TYPE_CHECKING:
    from ngdiff.training import UnlearnConfig


class TrainerArguments:
    """Base of what `ngdiff unlearn` reads and trains, of any kind; see `ngdiff.cli.tasks.Unlearning`."""

    parser: CommandParser

    @classmethod
    def arguments(cls, values: Mapping[str, Any], output: Path) -> UnlearnArguments:
        """The arguments of the trainer, checked without torch."""
        arguments: UnlearnArguments = cls.parser.checked(UnlearnArguments, _own(values), output_dir=str(output))
        return arguments

    @classmethod
    def trainer_config(cls, values: Mapping[str, Any], output: Path) -> "UnlearnConfig":
        """The arguments of the trainer."""
        from ngdiff.training import UnlearnConfig

        config: UnlearnConfig = cls.parser.build(UnlearnConfig, _own(values), output_dir=str(output))
        return config


def _own(values: Mapping[str, Any]) -> dict[str, Any]:
    """The values without those of `HubOptions`, which the trainer has under the same names, to upload as it trains."""
    return {name: value for name, value in values.items() if name not in HUB_OPTIONS}
