"""A forward pass with savings, in one call."""

from typing import Any

from ngdiff.core import Answers
from ngdiff.speed import Forward


def quick(model: Any, batch: Any, needs: Any = frozenset(), layer: int | None = None, **savings: Any) -> Answers:
    """With logits of answer tokens alone, and what else `Forward` is asked for."""
    return Forward(**{"cut": True, **savings})(model, batch, needs, layer)
