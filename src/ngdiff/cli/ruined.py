"""A ruined model, kept apart so that nobody takes it for the result of its run, and the message."""

import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from ngdiff.errors import RuinedModelError
from ngdiff.file_names import RUINED

if TYPE_CHECKING:
    from ngdiff.training.outcome import Outcome

_MODELS = ("model.safetensors", "model.safetensors.index.json", "adapter_model.safetensors")


def in_ruined(files: Sequence[str]) -> list[str]:
    """Names of a ruined model's files, from the output folder."""
    return [f"{RUINED}/{name}" for name in files]


def drop_ruined(output: Path) -> None:
    """Remove the ruined model of an earlier part of a run that has ended successfully."""
    if (output / RUINED).is_dir():
        shutil.rmtree(output / RUINED)


def ruined_error(output: Path, outcome: "Outcome", option: str) -> RuinedModelError:
    """The error that ends the command: why the model is ruined, where it is, what may help.

    Args:
        output: The output folder; the model is in its folder `ruined`.
        outcome: Of the run.
        option: That of the bound.
    """
    earlier = any((output / name).exists() for name in _MODELS)
    rest = f" The model in {output} itself is of an earlier part of the run." if earlier else ""
    wanted = f"; if such a model is wanted, {option} none" if outcome.is_above_bound else ""
    return RuinedModelError(
        f"the model is ruined: {outcome.ruined}. It is kept in {output / RUINED}, not in {output}.{rest} A smaller "
        f"--learning-rate or fewer --num-train-epochs may help{wanted}"
    )
