"""What is read from the file of transformers is what its class has."""

import dataclasses
import typing
from enum import Enum
from typing import Any

import pytest
from transformers import TrainingArguments
from transformers.training_args import trainer_log_levels

from ngdiff.training.config import UnlearnConfig
from ngdiff.training.finetune import FinetuneConfig
from ngdiff.training.finetune_images import ImageFinetuneConfig
from ngdiff.training.trainer_fields import LOG_LEVELS, TrainerFields

THEIRS = {field.name: field for field in dataclasses.fields(TrainingArguments)}
OURS = {field.name: field for field in dataclasses.fields(TrainerFields)}
UNTYPED = ("parallelism_config",)  # an object that no word of a command line can name


def described(kind: Any) -> Any:
    """A type, with enumerations told by their values."""
    if isinstance(kind, type) and issubclass(kind, Enum):
        return [item.value for item in kind]
    parts = typing.get_args(kind)
    return [typing.get_origin(kind), *map(described, parts)] if parts else kind


def test_it_is_another_class() -> None:
    assert TrainerFields is not TrainingArguments
    assert list(OURS) == list(THEIRS)
    assert TrainerFields._VALID_DICT_FIELDS == TrainingArguments._VALID_DICT_FIELDS
    assert tuple(trainer_log_levels) == LOG_LEVELS


@pytest.mark.parametrize("name", THEIRS)
def test_a_field_is_theirs(name: str) -> None:
    own, theirs = OURS[name], THEIRS[name]
    assert (own.default, own.default_factory) == (theirs.default, theirs.default_factory)
    assert {key: str(value) for key, value in own.metadata.items()} == {
        key: str(value) for key, value in theirs.metadata.items()
    }
    if name not in UNTYPED:
        assert described(own.type) == described(theirs.type)


@pytest.mark.parametrize("kind", [UnlearnConfig, FinetuneConfig, ImageFinetuneConfig])
def test_arguments_of_a_trainer_are_those_of_transformers(kind: Any, tmp_path: Any) -> None:
    made = kind(output_dir=str(tmp_path), use_cpu=True)
    assert isinstance(made, TrainingArguments)
    assert str(made.eval_strategy.__class__) == "<enum 'IntervalStrategy'>"
    assert made.device.type == "cpu"
