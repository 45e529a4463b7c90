"""Unlearning and fine-tuning runs."""

from ngdiff.training.config import UnlearnConfig
from ngdiff.training.trainer import UnlearnTrainer

__all__ = ["UnlearnConfig", "UnlearnTrainer"]
