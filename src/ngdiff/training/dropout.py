"""Training mode without dropout."""

import re
from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

# Names under which the models of transformers keep a rate: attention_dropout, resid_pdrop, layerdrop, drop_prob, ...
_RATE = re.compile(r"(^|_)(p?drop|drop_?out|layer_?drop|drop_(path|connect))(_(p|prob|rate|ratio))?$")


@contextmanager
def no_dropout(model: nn.Module, enabled: bool = True) -> Iterator[None]:
    """Set every dropout rate of the modules to 0 within, and back after.

    Covers dropout modules and the rates that attention and feed-forward modules keep as attributes for the
    functional form: numbers above 0 and up to 1 under a name such as `attention_dropout` or `drop_prob`. Another number
    with "drop" in its name, such as a threshold, is none. The model's configuration is not touched, so that a
    checkpoint written meanwhile keeps its rates.
    """
    changed: list[tuple[nn.Module, str, float]] = []
    if enabled:
        for module in model.modules():
            rates = ["p"] if isinstance(module, nn.modules.dropout._DropoutNd) else []
            rates += [name for name in vars(module) if _RATE.search(name)]
            for name in rates:
                value = getattr(module, name)
                if isinstance(value, float) and 0 < value <= 1:
                    changed.append((module, name, value))
                    setattr(module, name, 0.0)
    try:
        yield
    finally:
        for module, name, value in changed:
            setattr(module, name, value)
