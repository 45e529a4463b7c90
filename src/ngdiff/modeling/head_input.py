"""The input of a model's output head, recorded and possibly cut down by a hook in front of it.

Shape legend: B rows, L tokens a row, T chosen positions, H hidden width.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

import torch
from torch import Tensor, nn

from ngdiff.errors import InputError
from ngdiff.modeling.head import output_head

# Which positions the head gets: all, the chosen ones, or none.
Seen = Literal["all", "chosen", "none"]


class HeadInput:
    """A hook in front of an output head, active while `places` is set.

    One hook serves many passes: a compiled model does not notice hooks that come later, and keeps calling the one that
    it was compiled with.

    Attributes:
        places: (T,) int64, positions of the flattened (B L) tokens; None: the hook does nothing.
        seen: What the head gets: all positions, those of `places` as one row, or none.
        value: (1, T, H), the head's input at `places` in the last pass, in the head's own precision.
    """

    def __init__(self) -> None:
        self.places: Tensor | None = None
        self.seen: Seen = "all"
        self.value: Tensor | None = None

    @torch.compiler.disable
    def __call__(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        if self.places is None:
            return None
        hidden, *rest = inputs
        if hidden.dim() != 3:  # ProphetNet predicts several tokens at each position
            raise InputError(
                f"This model cannot be trained here: its output head is given hidden states of shape "
                f"{tuple(hidden.shape)}, and not one (batch, tokens, width) for each token"
            )
        device = hidden.device.type
        if torch.is_autocast_enabled(device) and hidden.dtype == torch.float32:  # as the head itself would
            hidden = hidden.to(torch.get_autocast_dtype(device))
        self.value = hidden.flatten(0, 1)[self.places][None]
        if self.seen == "all":
            return None
        return (self.value if self.seen == "chosen" else self.value[:, :0], *rest)

    @contextmanager
    def at(self, places: Tensor, seen: Seen = "all") -> Iterator[None]:
        """Within, a pass sets `value`, and the head gets the positions that `seen` says. Afterwards `value` is None."""
        self.places, self.seen, self.value = places, seen, None
        try:
            yield
        finally:
            self.places = self.value = None


@contextmanager
def head_hook(model: nn.Module) -> Iterator[HeadInput | None]:
    """Within, the model's output head has a `HeadInput` in front of it; None where the model names no head."""
    head = output_head(model)
    if head is None:
        yield None
        return
    hook = HeadInput()
    handle = head.register_forward_pre_hook(hook)
    try:
        yield hook
    finally:
        handle.remove()
