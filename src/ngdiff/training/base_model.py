"""The base model: the one before fine-tuning, which never saw the rows."""

from collections.abc import Callable
from pathlib import Path

from torch import nn

from ngdiff.modeling.load import load_model

BaseModel = nn.Module | str | Path | Callable[[], nn.Module]


def load_base_model(base: BaseModel) -> nn.Module:
    """A model, its folder or name, or a function that loads it."""
    if isinstance(base, nn.Module):
        return base
    return load_model(base, dtype="float32") if isinstance(base, str | Path) else base()
