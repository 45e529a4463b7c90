"""Run real code on fake tensors: a model of any size goes through a step, and only shapes are computed.

torch's fake tensors have shape, type and device, and no memory. Tensors with values (token ids, masks, lengths) are
computed with as long as no weight enters. Code that asks for values that depend on weights gets one fixed number; masks
that depend on weights are true everywhere, which selects the most.
"""

from collections.abc import Callable, Iterable
from typing import Any

import torch
from torch import Tensor
from torch._subclasses.fake_tensor import FakeTensor, FakeTensorMode
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_flatten, tree_unflatten

# Called with each operation: (operation, arguments, result).
Watcher = Callable[[Any, tuple[Any, ...], Any], None]

_aten = torch.ops.aten


class FakeRun(TorchDispatchMode):
    """Within, operations on fake tensors compute shapes only; operations on real tensors compute values.

    Args:
        fake: The mode in which the model was made.
        watchers: Called with each operation.

    Attributes:
        number: The value of every number that depends on weights. With 0 all comparisons find no difference.

    Example:
        >>> mode = FakeRun(FakeTensorMode())
        >>> with mode.fake:
        ...     hidden = torch.empty(2, 3, 1_000_000_000)
        >>> with mode:
        ...     labels = torch.tensor([[-100, 5, 6], [-100, -100, 7]])
        ...     print(hidden[labels != -100].shape, float(hidden.sum()))
        torch.Size([3, 1000000000]) 1.0
    """

    def __init__(self, fake: FakeTensorMode, watchers: Iterable[Watcher] = ()) -> None:
        super().__init__()
        self.fake, self.watchers, self.number = fake, list(watchers), 1.0

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """One operation."""
        if func is torch.ops.prim.device.default:  # by far the most frequent call
            return args[0].fake_device if isinstance(args[0], FakeTensor) else args[0].device
        result = self._result(func, args, kwargs or {})
        for watch in self.watchers:
            watch(func, args, result)
        return result

    def _result(self, func: Any, args: tuple[Any, ...], kwargs: dict[str, Any]) -> Any:
        flat, structure = tree_flatten((args, kwargs))
        if not any(isinstance(value, FakeTensor) for value in flat):
            return func(*args, **kwargs)
        if func is _aten._local_scalar_dense.default:
            return torch.tensor(self.number, dtype=args[0].dtype).item()
        if func is _aten.equal.default:
            return True
        if func is _aten.nonzero.default:
            return _chosen(args[0])
        if func is _aten.index.Tensor:  # the size of the result is the number of true entries, known here only
            flat, structure = tree_flatten(((args[0], _without_masks(args[1])), {}))
        flat = [self.fake.from_tensor(value) if _has_values(value) else value for value in flat]
        args, kwargs = tree_unflatten(flat, structure)
        with self.fake:
            return func(*args, **kwargs)


def _has_values(value: Any) -> bool:
    return isinstance(value, Tensor) and not isinstance(value, FakeTensor)


def _without_masks(indices: list[Tensor | None]) -> list[Tensor | None]:
    """Indices, with each mask replaced by the positions that it selects."""
    places: list[Tensor | None] = []
    for index in indices:
        if index is None or index.dtype != torch.bool:
            places.append(index)
        else:
            places += _chosen(index).unbind(1)
    return places


def _chosen(mask: Tensor) -> Tensor:
    """(N, dimensions) int64, positions of the true entries."""
    known = torch.ones(mask.shape, dtype=torch.bool) if isinstance(mask, FakeTensor) else mask
    return known.nonzero().to(mask.device)
