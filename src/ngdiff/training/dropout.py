"""Training mode without dropout."""

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn


@contextmanager
def no_dropout(model: nn.Module, enabled: bool = True) -> Iterator[None]:
    """Set every dropout rate of the modules to 0 within, and back after.

    Covers dropout modules and the rates that attention and feed-forward modules keep as attributes for the
    functional form. The model's configuration is not touched, so that a checkpoint written meanwhile keeps its
    rates.
    """
    changed: list[tuple[nn.Module, str, float]] = []
    if enabled:
        for module in model.modules():
            rates = ["p"] if isinstance(module, nn.modules.dropout._DropoutNd) else []
            rates += [name for name in vars(module) if "drop" in name]
            for name in rates:
                value = getattr(module, name)
                if isinstance(value, float) and value > 0:
                    changed.append((module, name, value))
                    setattr(module, name, 0.0)
    try:
        yield
    finally:
        for module, name, value in changed:
            setattr(module, name, value)
