"""Unlearning and fine-tuning runs."""

from typing import TYPE_CHECKING

from ngdiff.lazy import make_lazy

if TYPE_CHECKING:
    from ngdiff.training.config import UnlearnConfig
    from ngdiff.training.evidence import save_with_evidence
    from ngdiff.training.trainer import UnlearnTrainer

__all__ = ["UnlearnConfig", "UnlearnTrainer", "save_with_evidence"]

make_lazy(__name__)
