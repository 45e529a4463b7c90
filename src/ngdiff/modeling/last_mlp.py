"""The feed-forward part of a model's last layer, at answer tokens alone.

No later layer looks at what it says of the other tokens, and their logits are not computed either (`answers.py`): their
losses have no part in a gradient, so nothing of it changes. Of a Llama's last layer that is two thirds of the
arithmetic.

Shape legend: T labelled tokens of the batch, H hidden width.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any
from weakref import WeakKeyDictionary

from torch import Tensor, nn

from ngdiff.core.shards import is_sharded
from ngdiff.modeling.head import text_config


def last_mlp(model: nn.Module) -> nn.Module | None:
    """The part called `mlp` of the last of a model's text layers, or None where there is none to be left in part.

    A checkpointed layer is run again when nobody knows any more which tokens were labelled, and a sharded one is
    gathered by hooks of others.
    """
    depth = getattr(text_config(model), "num_hidden_layers", None)
    stacks = (module for module in model.modules() if isinstance(module, nn.ModuleList) and len(module) == depth)
    # Some other stack, of experts or of images, may be as deep and has no such part.
    found = next((stack[-1].mlp for stack in stacks if depth and hasattr(stack[-1], "mlp")), None)
    if not isinstance(found, nn.Module) or _is_checkpointed(model) or any(map(is_sharded, found.parameters())):
        return None
    return found


@contextmanager
def narrowed(mlp: nn.Module, predicts: Tensor) -> Iterator[None]:
    """Within, `mlp` sees the positions with `predicts` alone, and says 0 of the others.

    Args:
        mlp: What `last_mlp` found.
        predicts: bool, of the shape of the token ids that the model is given.
    """
    if mlp not in _NARROWED:
        _NARROWED[mlp] = _Narrowed(mlp)
    _NARROWED[mlp].predicts = predicts
    try:
        yield
    finally:
        _NARROWED[mlp].predicts = None


class _Narrowed:
    """Hooks before and behind a module, registered once; they do something while `predicts` is set."""

    def __init__(self, mlp: nn.Module) -> None:
        self.predicts: Tensor | None = None
        mlp.register_forward_pre_hook(self._before)
        mlp.register_forward_hook(self._behind)

    def _before(self, module: nn.Module, inputs: tuple[Tensor, ...]) -> tuple[Tensor, ...] | None:
        if self.predicts is None:
            return None
        hidden, *rest = inputs
        return (hidden[self.predicts][None], *rest)

    def _behind(self, module: nn.Module, inputs: Any, output: Tensor) -> Tensor | None:
        if self.predicts is None:
            return None
        (labelled,) = output  # (T, H)
        return output.new_zeros(*self.predicts.shape, output.shape[-1]).index_put((self.predicts,), labelled)


_NARROWED: WeakKeyDictionary[nn.Module, _Narrowed] = WeakKeyDictionary()


def _is_checkpointed(model: nn.Module) -> bool:
    """Whether any layer is run again in the backward pass; transformers renamed the flag within version 5."""
    flags = ("activation_checkpointing", "gradient_checkpointing")
    return any(getattr(module, flag, False) is True for module in model.modules() for flag in flags)
