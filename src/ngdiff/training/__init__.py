"""Unlearning and fine-tuning runs."""

from ngdiff.training.config import UnlearnConfig
from ngdiff.training.image_task import ImageTask
from ngdiff.training.trainer import UnlearnTrainer

__all__ = ["ImageTask", "UnlearnConfig", "UnlearnTrainer"]
