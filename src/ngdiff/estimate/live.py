"""Bytes of the tensors that are alive, by purpose, and their peak at each moment of a run."""

import weakref
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from torch import Tensor
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves


@dataclass(frozen=True)
class Peak:
    """The most bytes alive at once in a moment.

    Args:
        parts: Purpose -> bytes.
    """

    parts: dict[str, int] = field(default_factory=dict)

    @property
    def total(self) -> int:
        """All bytes."""
        return sum(self.parts.values())


class LiveBytes(TorchDispatchMode):
    """Counts the memory of every tensor while it is alive; views count with their base.

    References from Python, from autograd's graph or from an optimizer keep memory alive, here as in a run. As a context
    manager it sees operations on real tensors; as a watcher of `FakeRun` those on fake ones. Working memory of kernels,
    and what an allocator holds beyond what is in use, is not counted.

    Args:
        choices: Width of logits: tensors of a pass with this last dimension count as `logits`.

    Attributes:
        kind: Purpose of new tensors.
        moment: Name of the current moment; each has its own peak.
        peaks: Moment -> `Peak`.

    Example:
        >>> import torch
        >>> live = LiveBytes()
        >>> with live:
        ...     first = torch.zeros(10)
        ...     second = first + 1
        ...     del first
        ...     third = second.view(2, 5) * 2
        >>> live.total, live.peaks["start"].total
        (80, 80)
    """

    def __init__(self, choices: int | None = None) -> None:
        super().__init__()
        self.choices = choices
        self.kind = "other"
        self.peaks: dict[str, Peak] = {}
        self._kinds: dict[int, str] = {}  # of a storage, by its address
        self._watched: dict[int, Any] = {}
        self._bytes: Counter[str] = Counter()
        self._moment = "start"
        self._note()

    @property
    def total(self) -> int:
        """Bytes alive now."""
        return sum(self._bytes.values())

    @property
    def moment(self) -> str:
        """Name of the current moment."""
        return self._moment

    @moment.setter
    def moment(self, name: str) -> None:
        self._moment = name
        self._note()

    @contextmanager
    def within(self, *, kind: str | None = None, moment: str | None = None) -> Iterator[None]:
        """Within, use this kind and moment; None: unchanged."""
        before = self.kind, self.moment
        self.kind, self.moment = kind or self.kind, moment or self.moment
        try:
            yield
        finally:
            self.kind = before[0]
            if moment is not None:
                self.moment = before[1]

    def hold(self, tensors: Iterable[Tensor], kind: str) -> None:
        """Count tensors that exist already, or change their kind."""
        for tensor in tensors:
            self._see(tensor, kind)
        self._note()

    def __call__(self, func: Any, args: tuple[Any, ...], result: Any) -> None:
        """One operation."""
        for value in [result] if isinstance(result, Tensor) else tree_leaves(result):
            if isinstance(value, Tensor):
                self._see(value, None)
        self._note()

    def __torch_dispatch__(
        self, func: Any, types: Any, args: tuple[Any, ...] = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        """One operation on real tensors, as a mode."""
        result = func(*args, **(kwargs or {}))
        self(func, args, result)
        return result

    def _see(self, tensor: Tensor, kind: str | None) -> None:
        storage = tensor.untyped_storage()
        place = storage._cdata
        old = self._kinds.get(place)
        if old is not None and kind in (None, old):
            return
        new = kind or (self.kind if tensor.device.type != "meta" else "host")
        if kind is None and new == "activations" and self.choices is not None and tensor.shape[-1:] == (self.choices,):
            new = "logits"
        size = storage.nbytes()
        if old is None:
            self._watched[place] = weakref.ref(storage, lambda _: self._end(place, size))
        else:
            self._bytes[old] -= size
        self._kinds[place] = new
        self._bytes[new] += size

    def _end(self, place: int, size: int) -> None:
        self._bytes[self._kinds.pop(place)] -= size
        del self._watched[place]

    def _note(self) -> None:
        highest = self.peaks.get(self._moment)
        if highest is None or self.total > highest.total:
            self.peaks[self._moment] = Peak({kind: size for kind, size in self._bytes.items() if size})
